//! The outbox port: where `storage` keeps events from the transaction that wrote them until they are sent.

use std::time::Duration;

use async_trait::async_trait;
use types::{EventId, InstanceId};

use crate::Event;

/// An event that is not sent yet.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The event.
    pub event: Event,
    /// How often sending it failed.
    pub attempts: u32,
    /// The one subscription it is for: it was dead there and is sent again. `None`: it is for all.
    pub only: Option<String>,
}

/// Why an event is given up for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The event.
    pub id: EventId,
    /// The subscription that can't apply it; empty when nobody can read it.
    pub queue: String,
    /// Why.
    pub reason: String,
}

/// A dead event as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub id: EventId,
    /// What it says, such as `StreamEnded`; empty when it can't be read.
    pub name: String,
    /// Where it died.
    pub queue: String,
    /// Why.
    pub reason: String,
    /// When it died, Unix time in microseconds.
    pub died_us: i64,
}

/// How much waits to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// So many events, as far as they were counted.
    pub events: u64,
    /// The age of the oldest.
    pub age: Duration,
}

/// The outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("outbox: {0}")]
pub struct OutboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Events written with their changes, marked when sent.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// The oldest unsent events, `limit` at most. Asked by state, never by "id greater than the last":
    /// ids commit out of order.
    async fn pending(&self, limit: u32) -> Result<Vec<Pending>, OutboxError>;

    /// Takes or keeps, for `ttl`, the right to send what is pending: of several processes on one
    /// outbox one sends at a time. Answers whether `holder` has it.
    async fn lead(&self, holder: InstanceId, ttl: Duration) -> Result<bool, OutboxError>;

    /// Gives that right back, so that another needs not wait for it to run out.
    async fn resign(&self, holder: InstanceId) -> Result<(), OutboxError>;

    /// The events are where they are to be: in effect, or with the broker.
    async fn mark_sent(&self, ids: &[EventId]) -> Result<(), OutboxError>;

    /// Sending failed; the events stay pending.
    async fn mark_failed(&self, ids: &[EventId]) -> Result<(), OutboxError>;

    /// The events are given up, and kept for [`Self::revive`].
    async fn mark_dead(&self, dead: &[Dead]) -> Result<(), OutboxError>;

    /// The oldest dead events, `limit` at most.
    async fn dead(&self, limit: u32) -> Result<Vec<DeadLetter>, OutboxError>;

    /// Makes dead events pending again, for the subscription they died in: one, or all of them. Answers
    /// how many.
    async fn revive(&self, id: Option<EventId>) -> Result<u64, OutboxError>;

    /// How much waits.
    async fn backlog(&self) -> Result<Backlog, OutboxError>;

    /// Forgets some of what was sent more than a day ago, a bounded number at once. Answers how many.
    async fn purge(&self) -> Result<u64, OutboxError>;
}
