//! What is declared on the broker: a topic exchange, a quorum queue per durable subscription, a queue per
//! process for a broadcast, and where dead letters go. Declaring again what is there changes nothing.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use types::InstanceId;

use super::connect::{AmqpError, within};
use crate::{Event, Kind, Subscription};

/// How often an event is delivered before it is a dead letter: its consumer died with it so many times.
const DELIVERIES: i64 = 20;
/// Events a durable queue holds; more stay in the outbox.
const DURABLE_LENGTH: i64 = 1_000_000;
/// Dead letters that are kept; more stay in the queue they died in.
const DEAD_LENGTH: i64 = 100_000;
/// Events that wait for one process; the oldest are dropped for one that lags behind further.
const BROADCAST_LENGTH: i64 = 100_000;

/// The names of one installation on the broker.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    name: String,
}

fn arguments<const N: usize>(pairs: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in pairs {
        table.insert(key.into(), value);
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

impl Topology {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// The exchange that events are published to.
    pub(crate) fn events(&self) -> ShortString {
        format!("{}.events", self.name).into()
    }

    /// The exchange and the queue of dead letters.
    pub(crate) fn dead_letters(&self) -> ShortString {
        format!("{}.dead-letters", self.name).into()
    }

    /// The queue of a durable subscription.
    pub(crate) fn queue(&self, subscription: &str) -> ShortString {
        format!("{}.{subscription}", self.name).into()
    }

    /// What an event is published under.
    pub(crate) fn routing_key(event: &Event) -> ShortString {
        format!("{}.{}", event.kind(), event.name()).into()
    }

    /// Declares the exchanges and where dead letters go.
    pub(crate) async fn declare(&self, channel: &Channel) -> Result<(), AmqpError> {
        for exchange in [self.events(), self.dead_letters()] {
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..Default::default()
            };
            let declared = channel.exchange_declare(
                exchange,
                ExchangeKind::Topic,
                durable,
                FieldTable::default(),
            );
            within("declare an exchange", declared).await?;
        }
        let dead = arguments([
            ("x-queue-type", text("quorum")),
            ("x-max-length", AMQPValue::LongLongInt(DEAD_LENGTH)),
            ("x-overflow", text("reject-publish")),
        ]);
        let queue = self.dead_letters();
        let declared = channel.queue_declare(queue.clone(), durable(), dead);
        within("declare a queue", declared).await?;
        bind(channel, queue, self.dead_letters(), "#").await
    }

    /// Declares the queue of a subscription; answers its name.
    pub(crate) async fn subscribe(
        &self,
        channel: &Channel,
        subscription: &Subscription,
        process: InstanceId,
    ) -> Result<ShortString, AmqpError> {
        let queue = match subscription.kind {
            Kind::Durable => {
                let queue = self.queue(subscription.name);
                let declared =
                    channel.queue_declare(queue.clone(), durable(), self.durable_arguments());
                within("declare a queue", declared).await?;
                queue
            }
            Kind::Broadcast => {
                let queue: ShortString =
                    format!("{}.{}.{process}", self.name, subscription.name).into();
                let of_this_process = QueueDeclareOptions {
                    exclusive: true,
                    auto_delete: true,
                    ..Default::default()
                };
                let bounded =
                    arguments([("x-max-length", AMQPValue::LongLongInt(BROADCAST_LENGTH))]);
                let declared = channel.queue_declare(queue.clone(), of_this_process, bounded);
                within("declare a queue", declared).await?;
                queue
            }
        };
        if subscription.facts.is_empty() {
            bind(channel, queue.clone(), self.events(), "#").await?;
        }
        for fact in subscription.facts {
            bind(channel, queue.clone(), self.events(), &format!("*.{fact}")).await?;
        }
        Ok(queue)
    }

    /// One consumer at a time keeps the order; what dies is kept at least once.
    fn durable_arguments(&self) -> FieldTable {
        arguments([
            ("x-queue-type", text("quorum")),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERIES)),
            ("x-dead-letter-exchange", text(self.dead_letters().as_str())),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
            ("x-max-length", AMQPValue::LongLongInt(DURABLE_LENGTH)),
        ])
    }
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions {
        durable: true,
        ..Default::default()
    }
}

async fn bind(
    channel: &Channel,
    queue: ShortString,
    exchange: ShortString,
    key: &str,
) -> Result<(), AmqpError> {
    let options = QueueBindOptions::default();
    let bound = channel.queue_bind(queue, exchange, key.into(), options, FieldTable::default());
    within("bind a queue", bound).await
}
