//! Dead letters, wherever they are: in the outbox of the local bus, and on the broker.

use std::sync::Arc;

use types::{EventId, Secret};

use crate::{
    BusError, DeadLetter, Outbox,
    amqp::{Addresses, AmqpError, DeadLetterQueue},
    bus::addresses,
};

/// Letters sent back by one call.
const REPLAYED: u32 = 10_000;

/// What an operator does about events that could not be applied.
pub struct DeadLetters {
    broker: Option<(Addresses, String)>,
    outbox: Arc<dyn Outbox>,
}

impl From<AmqpError> for BusError {
    fn from(error: AmqpError) -> Self {
        Self::Broker(Box::new(error))
    }
}

impl DeadLetters {
    /// Those of the bus at `url`, named `name`, that sends what `outbox` holds.
    pub fn new(
        url: &Secret<String>,
        name: &str,
        outbox: Arc<dyn Outbox>,
    ) -> Result<Self, BusError> {
        let broker = addresses(url)?.map(|addresses| (addresses, name.to_owned()));
        Ok(Self { broker, outbox })
    }

    /// The oldest, `limit` at most from each place.
    pub async fn list(&self, limit: u32) -> Result<Vec<DeadLetter>, BusError> {
        let mut letters = self.outbox.dead(limit).await?;
        if let Some((addresses, name)) = &self.broker {
            let queue = DeadLetterQueue::open(addresses, name).await?;
            let listed = queue.list(limit).await;
            queue.close().await;
            letters.extend(listed?);
        }
        Ok(letters)
    }

    /// Sends letters back to where they died: one, or all, 10,000 at most. Answers how many.
    pub async fn replay(&self, id: Option<EventId>) -> Result<u64, BusError> {
        let mut replayed = self.outbox.revive(id).await?;
        if let Some((addresses, name)) = &self.broker {
            let queue = DeadLetterQueue::open(addresses, name).await?;
            let sent_back = queue.replay(id, REPLAYED).await;
            queue.close().await;
            replayed += sent_back?;
        }
        Ok(replayed)
    }
}
