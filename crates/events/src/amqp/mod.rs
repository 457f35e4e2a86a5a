//! The bus on RabbitMQ: publishes what the outbox holds with confirms, and feeds the subscriptions from
//! their queues. A broker that is lost is looked for until it is back; events wait in the outbox.

mod connect;
mod consumer;
mod dead_letter_count;
mod dead_letters;
mod publisher;
mod topology;

use std::convert::Infallible;

use futures::StreamExt;
use lapin::{Connection, Event as ConnectionEvent};
use runtime::{backoff::Backoff, health::Check};
use tokio::{task::JoinSet, time::Instant};

pub(crate) use self::connect::{Addresses, AmqpError};
pub(crate) use self::dead_letter_count::DeadLetterCount;
pub(crate) use self::dead_letters::DeadLetterQueue;
use self::{connect::channel, consumer::Consumer, publisher::Publisher, topology::Topology};
use crate::{Subscription, relay::Relay};

/// The bus of one process, on a broker.
pub(crate) struct AmqpBus {
    pub(crate) addresses: Addresses,
    pub(crate) name: String,
    pub(crate) relay: Relay,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) dead_letters: DeadLetterCount,
}

/// What works while the connection does.
struct Session {
    publisher: Publisher,
    consumers: Vec<Consumer>,
}

impl AmqpBus {
    /// Carries events, connecting again whenever the broker is lost; forever.
    pub(crate) async fn run(&self, check: &Check) {
        let mut backoff = Backoff::internal();
        let mut lost: Option<Instant> = None;
        for turn in 0.. {
            let error = match self.connected(turn, check, &mut lost, &mut backoff).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            check.fail(error.to_string());
            tracing::debug!(%error, turn, "no connection to the event bus");
            if lost.is_none() {
                lost = Some(Instant::now());
                metrics::counter!("streamr_bus_disconnects_total").increment(1);
                tracing::warn!(%error, "the event bus is lost; events wait in the outbox");
            }
            backoff.wait().await;
        }
    }

    async fn connected(
        &self,
        turn: usize,
        check: &Check,
        lost: &mut Option<Instant>,
        backoff: &mut Backoff,
    ) -> Result<Infallible, AmqpError> {
        let connection = self.addresses.connect(turn).await?;
        let session = match self.open(&connection).await {
            Ok(session) => session,
            Err(error) => {
                connect::close(&connection).await;
                return Err(error);
            }
        };
        backoff.reset();
        check.ok();
        metrics::counter!("streamr_bus_connects_total").increment(1);
        metrics::gauge!("streamr_bus_blocked").set(0.0);
        match lost.take() {
            Some(since) => tracing::info!(
                after_s = since.elapsed().as_secs_f64(),
                "the event bus is back"
            ),
            None => tracing::info!("connected to the event bus"),
        }
        let error = self.serve(session, &connection).await;
        connect::close(&connection).await;
        Err(error)
    }

    /// Declares everything before anything is published: an event must find its queues.
    async fn open(&self, connection: &Connection) -> Result<Session, AmqpError> {
        let topology = Topology::new(&self.name);
        topology.declare(&channel(connection).await?).await?;
        let mut consumers = Vec::new();
        for subscription in &self.subscriptions {
            let (channel, subscription) = (channel(connection).await?, subscription.clone());
            let consumer = Consumer::open(channel, &topology, subscription, self.relay.holder);
            consumers.push(consumer.await?);
        }
        let publisher = Publisher::open(channel(connection).await?, topology).await?;
        Ok(Session {
            publisher,
            consumers,
        })
    }

    /// Publishes and consumes until something ends.
    async fn serve(&self, session: Session, connection: &Connection) -> AmqpError {
        // Tasks of their own, so that they work beside the publisher; they end with this set.
        let mut consumers = JoinSet::new();
        for consumer in session.consumers {
            consumers.spawn(consumer.run());
        }
        let mut events = Box::pin(connection.events_listener());
        let broken = async {
            loop {
                match events.next().await {
                    Some(ConnectionEvent::Error(error)) => return error.into(),
                    Some(ConnectionEvent::ConnectionBlocked(reason)) => {
                        metrics::counter!("streamr_bus_blocked_total").increment(1);
                        metrics::gauge!("streamr_bus_blocked").set(1.0);
                        tracing::warn!(reason, "RabbitMQ takes no events now; they wait");
                    }
                    Some(ConnectionEvent::ConnectionUnblocked) => {
                        metrics::gauge!("streamr_bus_blocked").set(0.0);
                        tracing::info!("RabbitMQ takes events again");
                    }
                    Some(_) => {}
                    None => return AmqpError::Cancelled("the connection".to_owned()),
                }
            }
        };
        let topology = Topology::new(&self.name);
        tokio::select! {
            never = self.dead_letters.watch(connection, &topology) => match never {},
            error = self.relay.run(&session.publisher) => error,
            Some(ended) = consumers.join_next() => {
                ended.unwrap_or_else(|_| AmqpError::Cancelled("a subscription".to_owned()))
            }
            error = broken => error,
        }
    }
}
