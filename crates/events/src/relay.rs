//! The relay: sends what the outbox holds, one relay per outbox at a time, in order per aggregate.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use runtime::backoff::Backoff;
use tokio::{sync::Notify, time::Instant};
use types::{EventId, InstanceId};

use crate::{Dead, Outbox, OutboxError, Pending};

/// Events taken from the outbox at once.
const BATCH: u32 = 512;
/// How long the right to send lasts: another process takes over so long after this one died.
const LEASE: Duration = Duration::from_secs(3);
/// How often it is asked for while another process has it.
const ASK: Duration = Duration::from_millis(250);
/// How often sent events are forgotten.
const PURGE: Duration = Duration::from_secs(600);
/// How often the backlog is measured.
const MEASURE: Duration = Duration::from_secs(5);

/// Tells the relay that something was just committed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Wakes the relay.
    pub fn nudge(&self) {
        self.0.notify_one();
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// Where they are to be.
    pub(crate) sent: Vec<EventId>,
    /// To be sent again.
    pub(crate) failed: Vec<EventId>,
    /// Given up.
    pub(crate) dead: Vec<Dead>,
}

/// Takes batches to whom they are for. Events of one aggregate never overtake one another.
#[async_trait]
pub(crate) trait Carrier: Send + Sync {
    /// Why nothing can be carried any more.
    type Error: Send;

    /// Carries a batch, or as much of it as goes.
    async fn carry(&self, batch: Vec<Pending>) -> Result<Carried, Self::Error>;
}

/// What a round found.
enum Round {
    /// Nothing more waits.
    Done,
    /// There is more.
    More,
    /// Another process sends.
    Elsewhere,
    /// Something must be tried again later.
    Failed,
}

/// A round that could not be made.
enum Trouble<E> {
    Outbox(OutboxError),
    Carrier(E),
}

impl<E> From<OutboxError> for Trouble<E> {
    fn from(error: OutboxError) -> Self {
        Self::Outbox(error)
    }
}

/// Reads one outbox.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) nudge: Nudge,
    /// This process.
    pub(crate) holder: InstanceId,
    /// How often the outbox is read without a nudge: other processes write to it too.
    pub(crate) poll: Duration,
}

impl Relay {
    /// Sends until the carrier can't any more.
    pub(crate) async fn run<C: Carrier>(&self, carrier: &C) -> C::Error {
        let mut backoff = Backoff::internal();
        let mut lead_until = None;
        let mut failing = false;
        loop {
            let round = self.round(carrier, &mut lead_until).await;
            if failing && !matches!(round, Err(Trouble::Outbox(_))) {
                failing = false;
                tracing::info!("outbox can be read again");
            }
            match round {
                Ok(Round::More) => backoff.reset(),
                Ok(Round::Done) => {
                    backoff.reset();
                    let _ = tokio::time::timeout(self.poll, self.nudge.0.notified()).await;
                }
                Ok(Round::Elsewhere) => tokio::time::sleep(ASK).await,
                Ok(Round::Failed) => backoff.wait().await,
                Err(Trouble::Outbox(error)) => {
                    metrics::counter!("streamr_outbox_errors_total").increment(1);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "outbox can't be read; events wait");
                    }
                    backoff.wait().await;
                }
                Err(Trouble::Carrier(error)) => return error,
            }
        }
    }

    async fn round<C: Carrier>(
        &self,
        carrier: &C,
        lead_until: &mut Option<Instant>,
    ) -> Result<Round, Trouble<C::Error>> {
        let leads = lead_until.is_some_and(|until| Instant::now() + LEASE / 2 < until);
        if !leads {
            // An idle process writes nothing: the right to send is asked for when there is something.
            if self.outbox.pending(1).await?.is_empty() {
                return Ok(Round::Done);
            }
            let asked = Instant::now();
            *lead_until = None;
            if !self.outbox.lead(self.holder, LEASE).await? {
                return Ok(Round::Elsewhere);
            }
            *lead_until = Some(asked + LEASE);
        }
        let batch = self.outbox.pending(BATCH).await?;
        if batch.is_empty() {
            return Ok(Round::Done);
        }
        let whole = batch.len() == BATCH as usize;
        let carried = carrier.carry(batch).await.map_err(Trouble::Carrier)?;
        self.outbox.mark_sent(&carried.sent).await?;
        self.outbox.mark_dead(&carried.dead).await?;
        self.outbox.mark_failed(&carried.failed).await?;
        Ok(match (carried.failed.is_empty(), whole) {
            (false, _) => Round::Failed,
            (true, true) => Round::More,
            (true, false) => Round::Done,
        })
    }

    /// Measures what waits and forgets what is over, whether or not anything can be sent; forever.
    pub(crate) async fn look_after(&self) {
        let mut purge_at = Instant::now() + PURGE;
        loop {
            match self.outbox.backlog().await {
                Ok(backlog) => {
                    metrics::gauge!("streamr_outbox_events").set(backlog.events as f64);
                    metrics::gauge!("streamr_outbox_lag_seconds").set(backlog.age.as_secs_f64());
                }
                Err(error) => tracing::debug!(%error, "outbox can't be measured"),
            }
            if Instant::now() >= purge_at {
                purge_at = Instant::now() + PURGE;
                self.purge().await;
            }
            tokio::time::sleep(MEASURE).await;
        }
    }

    async fn purge(&self) {
        loop {
            match self.outbox.purge().await {
                Ok(0) => return,
                Ok(purged) => metrics::counter!("streamr_outbox_purged_total").increment(purged),
                Err(error) => {
                    metrics::counter!("streamr_outbox_errors_total").increment(1);
                    tracing::warn!(%error, "outbox can't be purged; it is tried again");
                    return;
                }
            }
        }
    }
}
