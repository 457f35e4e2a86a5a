//! Who must know, and how a batch of events is applied: held while the subscriber can't, searched for
//! the one that never can be.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use runtime::backoff::Backoff;
use tracing::Instrument;

use crate::Event;

/// Waiting for a subscriber that can't apply anything now.
const HOLD: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Events could not be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// What the handler needs is down: the events wait until it is back.
    #[error("not now: {0}")]
    Unavailable(#[source] Source),
    /// An event of the batch can never be applied.
    #[error("{0}")]
    Rejected(#[source] Source),
}

impl HandlerError {
    /// What the handler needs is down.
    pub fn unavailable(error: impl Into<Source>) -> Self {
        Self::Unavailable(error.into())
    }

    /// An event of the batch can never be applied.
    pub fn rejected(error: impl Into<Source>) -> Self {
        Self::Rejected(error.into())
    }
}

/// Applies events. Idempotent: an event may come more than once.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Applies all of `events`, in their order, or none.
    async fn handle(&self, events: &[Event]) -> Result<(), HandlerError>;

    /// Events may have passed unseen: a broadcast subscription begins, or begins again.
    async fn missed(&self) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// Who gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of all processes that subscribe under the name, even if none runs now.
    Durable,
    /// Every process that runs, from its start on.
    Broadcast,
}

/// A handler with what it wants to know.
#[derive(Clone)]
pub struct Subscription {
    /// Its name, which names its queue.
    pub name: &'static str,
    /// Who gets an event.
    pub kind: Kind,
    /// The names of the facts it wants; empty: all of them.
    pub facts: &'static [&'static str],
    /// Who applies them.
    pub handler: Arc<dyn Handler>,
}

/// An event that can never be applied, by its place in the batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Poison {
    pub(crate) index: usize,
    pub(crate) reason: String,
}

impl Subscription {
    /// Whether it wants to know `event`.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        self.facts.is_empty() || self.facts.contains(&event.name())
    }

    /// Applies a batch. While the handler is unavailable the batch is held; answers the events that can
    /// never be applied, all others are.
    pub(crate) async fn apply(&self, events: &[Event]) -> Vec<Poison> {
        if events.is_empty() {
            return Vec::new();
        }
        let Err(reason) = self.insist(events).await else {
            self.count(events);
            return Vec::new();
        };
        let mut poison = Vec::new();
        for (index, event) in events.iter().enumerate() {
            // The batch of one was tried just now.
            let applied = if events.len() == 1 {
                Err(reason.clone())
            } else {
                self.insist(std::slice::from_ref(event)).await
            };
            match applied {
                Ok(()) => self.count(std::slice::from_ref(event)),
                Err(reason) => {
                    metrics::counter!("streamr_events_dead_total", "queue" => self.name, "event" => event.name())
                        .increment(1);
                    let kept = self.kind == Kind::Durable;
                    tracing::error!(queue = self.name, event = event.name(), event_id = %event.id, reason, kept, "event can't be applied; `streamr admin dead-letters` lists what is kept");
                    poison.push(Poison { index, reason });
                }
            }
        }
        poison
    }

    /// Says that events may have passed, until the handler heard it.
    pub(crate) async fn catch_up(&self) {
        let mut backoff = HOLD;
        while let Err(error) = self.handler.missed().await {
            self.held(&error);
            backoff.wait().await;
        }
    }

    async fn insist(&self, events: &[Event]) -> Result<(), String> {
        let mut backoff = HOLD;
        let mut holding = false;
        // Each event's span lasts as long as its batch; what the handler does is shown in the first's.
        let spans: Vec<_> = events.iter().map(Event::consumer_span).collect();
        let span = spans.iter().find(|span| !span.is_disabled());
        let span = span.cloned().unwrap_or_else(tracing::Span::none);
        loop {
            match self.handler.handle(events).instrument(span.clone()).await {
                Ok(()) => {
                    if holding {
                        tracing::info!(queue = self.name, "events are applied again");
                    }
                    return Ok(());
                }
                Err(HandlerError::Rejected(error)) => return Err(error.to_string()),
                Err(error) => {
                    if !std::mem::replace(&mut holding, true) {
                        self.held(&error);
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    fn held(&self, error: &HandlerError) {
        metrics::counter!("streamr_events_held_total", "queue" => self.name).increment(1);
        tracing::warn!(queue = self.name, %error, "events can't be applied now; they wait");
    }

    fn count(&self, events: &[Event]) {
        let now = crate::now_us();
        for event in events {
            metrics::counter!("streamr_events_consumed_total", "queue" => self.name, "event" => event.name())
                .increment(1);
            metrics::histogram!("streamr_event_delay_seconds", "queue" => self.name)
                .record((now - event.time_us).max(0) as f64 / 1e6);
        }
    }
}
