//! Dead letters on the broker: what they are, and sending them back to the queue they died in.

use lapin::{
    Channel, Connection,
    message::{BasicGetMessage, Delivery},
    options::{BasicAckOptions, BasicGetOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use types::EventId;

use super::{
    connect::{self, Addresses, AmqpError, channel, within},
    publisher::{Answer, publish},
    topology::Topology,
};
use crate::{DeadLetter, Event};

/// The queue of dead letters, looked at by one who is not consuming it.
pub(crate) struct DeadLetterQueue {
    connection: Connection,
    channel: Channel,
    topology: Topology,
    name: String,
}

impl DeadLetterQueue {
    /// Connects, and declares the queue if nothing was ever on this broker.
    pub(crate) async fn open(addresses: &Addresses, name: &str) -> Result<Self, AmqpError> {
        let topology = Topology::new(name);
        let mut connected = addresses.connect(0).await;
        for turn in 1..addresses.count() {
            if connected.is_err() {
                connected = addresses.connect(turn).await;
            }
        }
        let connection = connected?;
        let channel = channel(&connection).await?;
        topology.declare(&channel).await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        within("confirm what is published", confirms).await?;
        Ok(Self {
            connection,
            channel,
            topology,
            name: format!("{name}."),
        })
    }

    /// The oldest letters, `limit` at most.
    pub(crate) async fn list(&self, limit: u32) -> Result<Vec<DeadLetter>, AmqpError> {
        let mut letters = Vec::new();
        while letters.len() < limit as usize {
            let Some(message) = self.next().await? else {
                break;
            };
            letters.push(self.letter(&message));
        }
        Ok(letters)
    }

    /// Sends letters back: one, or all that were there, `limit` at most. Answers how many.
    pub(crate) async fn replay(&self, id: Option<EventId>, limit: u32) -> Result<u64, AmqpError> {
        let mut replayed = 0;
        for _ in 0..limit {
            let Some(message) = self.next().await? else {
                break;
            };
            let Ok(event) = Event::decode(&message.data) else {
                continue;
            };
            if id.is_some_and(|id| id != event.id) {
                continue;
            }
            let Some(death) = Death::of(&message) else {
                continue;
            };
            // Without what the broker wrote on it: it may die again, with the same right.
            let back = publish(
                &self.channel,
                ShortString::default(),
                death.queue.as_str().into(),
                &event,
            );
            if back.await? != Answer::Taken {
                return Err(AmqpError::Refused(event.id));
            }
            let done = message.ack(BasicAckOptions::default());
            within("take an acknowledgement", done).await?;
            metrics::counter!("streamr_dead_letters_replayed_total").increment(1);
            replayed += 1;
        }
        Ok(replayed)
    }

    /// Ends the connection; what was only looked at is in the queue again.
    pub(crate) async fn close(self) {
        connect::close(&self.connection).await;
    }

    async fn next(&self) -> Result<Option<BasicGetMessage>, AmqpError> {
        let queue = self.topology.dead_letters();
        let got = self.channel.basic_get(queue, BasicGetOptions::default());
        within("hand out a dead letter", got).await
    }

    fn letter(&self, delivery: &Delivery) -> DeadLetter {
        let death = Death::of(delivery);
        let (queue, reason, died_us) = death.map_or_else(
            || (String::new(), "unknown".to_owned(), 0),
            |death| (death.queue, death.reason, death.at_us),
        );
        let queue = queue
            .strip_prefix(&self.name)
            .map_or_else(|| queue.clone(), str::to_owned);
        let properties = &delivery.properties;
        let id = properties.message_id().as_ref().map(ToString::to_string);
        DeadLetter {
            id: id
                .and_then(|id| id.parse().ok())
                .unwrap_or_else(|| EventId::from_uuid(uuid::Uuid::nil())),
            name: properties
                .kind()
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            queue,
            reason,
            died_us,
        }
    }
}

/// What the broker wrote on a message that died, of its last death.
struct Death {
    queue: String,
    reason: String,
    at_us: i64,
}

impl Death {
    fn of(delivery: &Delivery) -> Option<Self> {
        let headers = delivery.properties.headers().as_ref()?;
        let AMQPValue::FieldArray(deaths) = headers.inner().get("x-death")? else {
            return None;
        };
        let AMQPValue::FieldTable(last) = deaths.as_slice().first()? else {
            return None;
        };
        let at_us = match last.inner().get("time") {
            Some(AMQPValue::Timestamp(seconds)) => seconds.cast_signed().saturating_mul(1_000_000),
            _ => 0,
        };
        Some(Self {
            queue: text(last, "queue")?,
            reason: text(last, "reason").unwrap_or_default(),
            at_us,
        })
    }
}

fn text(table: &FieldTable, key: &str) -> Option<String> {
    match table.inner().get(key)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}
