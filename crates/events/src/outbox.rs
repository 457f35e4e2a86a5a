//! The outbox port: where `storage` keeps events from the transaction that wrote them until they are sent.

use async_trait::async_trait;
use types::EventId;

use crate::Event;

/// An event that is not sent yet.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The event.
    pub event: Event,
    /// How often sending it failed.
    pub attempts: u32,
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

    /// The event took effect everywhere.
    async fn mark_sent(&self, id: EventId) -> Result<(), OutboxError>;

    /// Sending failed; `dead` gives it up for good, kept for inspection.
    async fn mark_failed(&self, id: EventId, dead: bool) -> Result<(), OutboxError>;

    /// Forgets what was sent more than a day ago.
    async fn purge(&self) -> Result<(), OutboxError>;
}
