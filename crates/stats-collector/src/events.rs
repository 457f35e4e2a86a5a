//! Facts from the bus: written as they come.

use async_trait::async_trait;
use events::{Event, Handler, HandlerError, Kind, Subscription};
use storage::Carrying;

/// Its name in the inbox, and of its queue.
const NAME: &str = "stats-collector.carrying";
/// What it listens for.
const FACTS: &[&str] = &[
    "SessionStarted",
    "SessionEnded",
    "NodesAssigned",
    "DeliveriesReported",
    "ReceiptsAccepted",
];

struct Write(Carrying);

#[async_trait]
impl Handler for Write {
    async fn handle(&self, events: &[Event]) -> Result<(), HandlerError> {
        match self.0.apply(NAME, events).await {
            Ok(applied) => {
                let again = (events.len() - applied) as u64;
                metrics::counter!("streamr_carrying_events_repeated_total").increment(again);
                Ok(())
            }
            Err(error) if error.is_unavailable() => Err(HandlerError::unavailable(error)),
            Err(error) => Err(HandlerError::rejected(error)),
        }
    }
}

/// The subscription of who writes them.
pub(crate) fn subscription(carrying: Carrying) -> Subscription {
    Subscription {
        name: NAME,
        kind: Kind::Durable,
        facts: FACTS,
        handler: std::sync::Arc::new(Write(carrying)),
    }
}
