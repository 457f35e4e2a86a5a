//! The local bus: one relay reads the outbox and hands each event to every handler, in process.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::Notify, time::Instant};

use crate::{Event, Outbox, OutboxError};

/// Events taken from the outbox at once.
const BATCH: u32 = 100;
/// How often the outbox is read without a nudge: other processes write to it too.
const POLL: Duration = Duration::from_millis(500);
/// How often sent events are forgotten.
const PURGE: Duration = Duration::from_secs(600);
/// After so many failures an event is dead.
const MAX_ATTEMPTS: u32 = 10;

/// A handler could not apply an event now; it comes again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HandlerError(pub String);

/// Someone who must know. Idempotent: an event may come more than once.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Applies `event`.
    async fn handle(&self, event: &Event) -> Result<(), HandlerError>;
}

/// Tells the relay that something was just committed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Wakes the relay.
    pub fn nudge(&self) {
        self.0.notify_one();
    }
}

/// The bus of one process.
pub struct LocalBus {
    outbox: Arc<dyn Outbox>,
    handlers: Vec<Arc<dyn Handler>>,
    nudge: Nudge,
}

impl LocalBus {
    /// A bus that reads `outbox`, woken by `nudge`.
    pub fn new(outbox: Arc<dyn Outbox>, nudge: Nudge) -> Self {
        Self {
            outbox,
            handlers: Vec::new(),
            nudge,
        }
    }

    /// Adds a handler; before [`Self::run`].
    pub fn subscribe(&mut self, handler: Arc<dyn Handler>) {
        self.handlers.push(handler);
    }

    /// Relays events until dropped. There is one relay per outbox.
    pub async fn run(self) {
        let mut purge_at = Instant::now() + PURGE;
        loop {
            if let Err(error) = self.relay_once().await {
                metrics::counter!("streamr_outbox_errors_total").increment(1);
                tracing::warn!(%error, "outbox can't be read; events wait");
                tokio::time::sleep(POLL * 2).await;
            }
            if Instant::now() >= purge_at {
                purge_at = Instant::now() + PURGE;
                if let Err(error) = self.outbox.purge().await {
                    tracing::warn!(%error, "outbox can't be purged");
                }
            }
            let _ = tokio::time::timeout(POLL, self.nudge.0.notified()).await;
        }
    }

    /// Sends what is pending. An event that fails holds back the later ones of this round, so that
    /// order is kept.
    async fn relay_once(&self) -> Result<(), OutboxError> {
        loop {
            let batch = self.outbox.pending(BATCH).await?;
            let whole = batch.len() == BATCH as usize;
            for pending in batch {
                let id = pending.event.id;
                match self.deliver(&pending.event).await {
                    Ok(()) => {
                        metrics::counter!("streamr_events_total", "event" => pending.event.name())
                            .increment(1);
                        self.outbox.mark_sent(id).await?;
                    }
                    Err(error) => {
                        let dead = pending.attempts + 1 >= MAX_ATTEMPTS;
                        metrics::counter!("streamr_event_failures_total", "event" => pending.event.name())
                            .increment(1);
                        tracing::warn!(%error, event = pending.event.name(), event_id = %id, dead, "event not applied");
                        self.outbox.mark_failed(id, dead).await?;
                        if !dead {
                            return Ok(());
                        }
                    }
                }
            }
            if !whole {
                return Ok(());
            }
        }
    }

    async fn deliver(&self, event: &Event) -> Result<(), HandlerError> {
        for handler in &self.handlers {
            handler.handle(event).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use types::{EventId, StreamId};

    use super::*;
    use crate::{Fact, Pending};

    #[derive(Default)]
    struct MemoryOutbox(Mutex<Vec<(Pending, bool)>>);

    #[async_trait]
    impl Outbox for MemoryOutbox {
        async fn pending(&self, limit: u32) -> Result<Vec<Pending>, OutboxError> {
            let rows = self.0.lock();
            Ok(rows
                .iter()
                .filter(|(_, done)| !done)
                .take(limit as usize)
                .map(|(row, _)| row.clone())
                .collect())
        }
        async fn mark_sent(&self, id: EventId) -> Result<(), OutboxError> {
            self.0
                .lock()
                .iter_mut()
                .filter(|(row, _)| row.event.id == id)
                .for_each(|row| row.1 = true);
            Ok(())
        }
        async fn mark_failed(&self, id: EventId, dead: bool) -> Result<(), OutboxError> {
            for (row, done) in self
                .0
                .lock()
                .iter_mut()
                .filter(|(row, _)| row.event.id == id)
            {
                row.attempts += 1;
                *done = dead;
            }
            Ok(())
        }
        async fn purge(&self) -> Result<(), OutboxError> {
            Ok(())
        }
    }

    struct Recorder {
        seen: Mutex<Vec<EventId>>,
        failures_left: Mutex<u32>,
        poison: Option<EventId>,
    }

    #[async_trait]
    impl Handler for Recorder {
        async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
            let mut left = self.failures_left.lock();
            if *left > 0 || self.poison == Some(event.id) {
                *left = left.saturating_sub(1);
                return Err(HandlerError("not now".to_owned()));
            }
            self.seen.lock().push(event.id);
            Ok(())
        }
    }

    fn event() -> Event {
        Event {
            id: EventId::new(),
            time_us: 0,
            version: 1,
            fact: Fact::StreamKeyChanged {
                stream: StreamId::new(),
            },
        }
    }

    async fn run_for(outbox: Arc<MemoryOutbox>, handler: Arc<Recorder>, time: Duration) {
        let mut bus = LocalBus::new(outbox, Nudge::default());
        bus.subscribe(handler);
        let _ = tokio::time::timeout(time, bus.run()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_event_comes_again_before_later_ones() {
        let events = [event(), event()];
        let outbox = Arc::new(MemoryOutbox::default());
        outbox.0.lock().extend(
            events
                .iter()
                .cloned()
                .map(|event| (Pending { event, attempts: 0 }, false)),
        );
        let handler = Arc::new(Recorder {
            seen: Mutex::default(),
            failures_left: Mutex::new(3),
            poison: None,
        });
        run_for(outbox, Arc::clone(&handler), Duration::from_secs(5)).await;
        assert_eq!(*handler.seen.lock(), [events[0].id, events[1].id]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poison_event_dies_and_the_others_pass() {
        let events = [event(), event()];
        let outbox = Arc::new(MemoryOutbox::default());
        outbox.0.lock().extend(
            events
                .iter()
                .cloned()
                .map(|event| (Pending { event, attempts: 0 }, false)),
        );
        let handler = Arc::new(Recorder {
            seen: Mutex::default(),
            failures_left: Mutex::new(0),
            poison: Some(events[0].id),
        });
        run_for(outbox, Arc::clone(&handler), Duration::from_secs(30)).await;
        assert_eq!(*handler.seen.lock(), [events[1].id]);
    }
}
