//! The history of streams: the first durable consumer. Writes down each broadcast once, however often and
//! in whatever order its events come.

use async_trait::async_trait;
use events::{Event, Handler, HandlerError, Kind, Subscription};
use storage::StreamHistory;

use crate::events::told;

/// Its name in the inbox, and of its queue.
pub(crate) const NAME: &str = "coordinator.stream-history";

/// Writes the history.
struct WriteHistory(StreamHistory);

#[async_trait]
impl Handler for WriteHistory {
    async fn handle(&self, events: &[Event]) -> Result<(), HandlerError> {
        let applied = self.0.apply(NAME, events).await;
        let applied = applied.map_err(|error| told(error.into()))?;
        let again = (events.len() - applied) as u64;
        metrics::counter!("streamr_history_events_repeated_total").increment(again);
        Ok(())
    }
}

/// The subscription of who writes it.
pub(crate) fn subscription(history: StreamHistory) -> Subscription {
    Subscription {
        name: NAME,
        kind: Kind::Durable,
        facts: &["StreamStarted", "StreamEnded"],
        handler: std::sync::Arc::new(WriteHistory(history)),
    }
}
