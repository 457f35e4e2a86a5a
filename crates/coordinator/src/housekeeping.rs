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
            loop {
                tokio::time::sleep(settings::REFRESH).await;
                complain("settings", settings.refresh().await);
            }
        });
        shutdown.spawn_until_cancelled(async move {
            loop {
                tokio::time::sleep(KEYS_REFRESH).await;
                complain("signing keys", signing.refresh().await.map(|_| ()));
                live.set_playback_keys(signing.playback_keys().public_keys());
            }
        });
        shutdown.spawn_until_cancelled(async move {
            loop {
                tokio::time::sleep(PURGE).await;
                complain("purge", purge(&database, instance).await);
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
    while database.history().purge().await? > 0 {}
    Ok(())
}

fn complain(what: &'static str, result: Result<(), Error>) {
    if let Err(error) = result {
        metrics::counter!("streamr_housekeeping_failures_total", "what" => what).increment(1);
        tracing::debug!(what, %error, "housekeeping; it comes again");
    }
}
