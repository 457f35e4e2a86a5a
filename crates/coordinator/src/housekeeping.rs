//! What is done now and then: settings read again, keys rotated, what is over forgotten.

use std::{sync::Arc, time::Duration};

use runtime::Shutdown;
use storage::Database;
use types::InstanceId;

use crate::{
    Error,
    accounts::{KEYS_REFRESH, Signing},
    live::Live,
    settings::{self, RuntimeSettings},
};

/// How often what is over is forgotten.
const PURGE: Duration = Duration::from_secs(600);

/// What is looked after.
pub(crate) struct Housekeeping {
    pub(crate) database: Database,
    pub(crate) live: Arc<Live>,
    pub(crate) settings: RuntimeSettings,
    pub(crate) signing: Signing,
    pub(crate) instance: InstanceId,
}

impl Housekeeping {
    /// Does it until shutdown.
    pub(crate) fn start(self, shutdown: &Shutdown) {
        let Self {
            database,
            live,
            settings,
            signing,
            instance,
        } = self;
        shutdown.spawn_until_cancelled(async move {
            let mut chore = Chore::new("settings");
            loop {
                tokio::time::sleep(settings::REFRESH).await;
                chore.done(settings.refresh().await);
            }
        });
        shutdown.spawn_until_cancelled(async move {
            let mut chore = Chore::new("signing_keys");
            loop {
                tokio::time::sleep(KEYS_REFRESH).await;
                chore.done(signing.refresh().await.map(|_| ()));
                live.set_playback_keys(signing.playback_keys().public_keys());
            }
        });
        shutdown.spawn_until_cancelled(async move {
            let mut chore = Chore::new("purge");
            loop {
                tokio::time::sleep(PURGE).await;
                chore.done(purge(&database, instance).await);
            }
        });
    }
}

/// One coordinator does it for all.
async fn purge(database: &Database, instance: InstanceId) -> Result<(), Error> {
    if !database.leases().take("purge", instance, PURGE / 2).await? {
        return Ok(());
    }
    database.logins().purge().await?;
    database.links().purge().await?;
    database.shares().purge().await?;
    database.idempotency().purge().await?;
    database.evidence().purge().await?;
    while database.history().purge().await? > 0 {}
    Ok(())
}

/// Something that is done again and again.
struct Chore {
    what: &'static str,
    failing: bool,
}

impl Chore {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            failing: false,
        }
    }

    /// Says when it can't be done any more, and when it can again; while the database does not answer, that
    /// was said.
    fn done(&mut self, result: Result<(), Error>) {
        let what = self.what;
        let before = std::mem::replace(&mut self.failing, result.is_err());
        match result {
            Ok(()) if before => tracing::info!(what, "housekeeping works again"),
            Ok(()) => {}
            Err(error) => {
                metrics::counter!("streamr_housekeeping_failures_total", "what" => what)
                    .increment(1);
                if before || error.is_told() {
                    tracing::debug!(what, %error, "housekeeping failed; it comes again");
                } else {
                    tracing::warn!(what, %error, "housekeeping failed; it comes again");
                }
            }
        }
    }
}
