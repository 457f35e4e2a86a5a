//! Reconciling and summing, over and over. One stats-collector at a time does it; another takes over when that one
//! falls silent. Two at once would only do the same twice.

use std::time::Duration;

use events::Nudge;
use runtime::log::Seldom;
use storage::{Carrying, Database, StorageError};
use tokio::time::Instant;
use types::InstanceId;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(1);
/// Who reconciles holds this lease.
const LEASE: &str = "stats-collector.reconcile";
/// For so long.
const LEASED: Duration = Duration::from_secs(15);
/// Rounds that find much to do follow at once, so many times.
const AT_A_STRETCH: usize = 50;
/// How often old facts are forgotten.
const PURGE: Duration = Duration::from_secs(3600);

static SAID: Seldom = Seldom::new();

/// Reconciles.
pub(crate) struct Reconciler {
    pub(crate) database: Database,
    pub(crate) instance: InstanceId,
    /// Wakes whoever sends what was recorded.
    pub(crate) nudge: Nudge,
}

impl Reconciler {
    /// Works until it is dropped.
    pub(crate) async fn run(self) {
        let mut purged: Option<Instant> = None;
        loop {
            tokio::time::sleep(EVERY).await;
            let round = self.round().await;
            if let Err(error) = &round {
                metrics::counter!("streamr_reconcile_failures_total").increment(1);
                if let Some(unsaid) = SAID.say() {
                    tracing::warn!(%error, unsaid, "contributions can't be reconciled now; tried again");
                }
            }
            // Whatever became of the round: what is old must go.
            let is_due = purged.is_none_or(|at| at.elapsed() > PURGE);
            if is_due && !matches!(round, Ok(false)) {
                purged = Some(Instant::now());
                if let Err(error) = self.carrying().purge().await {
                    tracing::debug!(%error, "old facts are not forgotten yet");
                }
            }
        }
    }

    fn carrying(&self) -> Carrying {
        self.database.carrying()
    }

    /// One round. `false`: another does it.
    async fn round(&self) -> Result<bool, StorageError> {
        let leases = self.database.leases();
        if !leases.take(LEASE, self.instance, LEASED).await? {
            return Ok(false);
        }
        let carrying = self.carrying();
        let began = Instant::now();
        let mut sessions = 0;
        for _ in 0..AT_A_STRETCH {
            let done = carrying.reconcile().await?;
            if done == 0 {
                break;
            }
            sessions += done;
        }
        for _ in 0..AT_A_STRETCH {
            if carrying.roll_up().await? == 0 {
                break;
            }
        }
        if sessions > 0 {
            self.nudge.nudge();
            metrics::counter!("streamr_sessions_reconciled_total").increment(sessions as u64);
            metrics::histogram!("streamr_reconcile_seconds").record(began.elapsed());
        }
        Ok(true)
    }
}
