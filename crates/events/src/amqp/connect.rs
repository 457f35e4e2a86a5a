//! Connecting to the broker: which address, how long it may take, and what an error is.

use std::{future::Future, time::Duration};

use lapin::{Channel, Connection, ConnectionProperties, uri::AMQPUri};
use types::Secret;

use crate::BusError;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the broker may take to do what it is asked.
const ANSWER: Duration = Duration::from_secs(10);
/// Seconds between heartbeats: a broker that is silent for two of them is gone.
const HEARTBEAT: u16 = 5;
/// Addresses of one cluster that are tried.
const MAX_ADDRESSES: usize = 16;

/// The broker can't be used now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AmqpError {
    /// What the broker or the connection says.
    #[error("RabbitMQ: {0}")]
    Broker(#[from] lapin::Error),
    /// It does not answer.
    #[error("RabbitMQ did not {0} in time")]
    Timeout(&'static str),
    /// A queue we consume is gone, or somebody ended our consumer.
    #[error("RabbitMQ ended the consumer of {0}")]
    Cancelled(String),
    /// An event it refuses.
    #[error("RabbitMQ did not take event {0}")]
    Refused(types::EventId),
}

/// Waits for the broker, not forever.
pub(crate) async fn within<T>(
    what: &'static str,
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, AmqpError> {
    let answer = tokio::time::timeout(ANSWER, answer).await;
    Ok(answer.map_err(|_| AmqpError::Timeout(what))??)
}

/// The addresses of one broker: one, or the nodes of a cluster.
#[derive(Clone)]
pub(crate) struct Addresses(Vec<AMQPUri>);

impl Addresses {
    /// Reads `bus.url`: addresses separated by commas.
    pub(crate) fn parse(url: &Secret<String>) -> Result<Self, BusError> {
        runtime::tls::install_provider();
        let mut addresses = Vec::new();
        for text in url.expose().split(',').take(MAX_ADDRESSES) {
            let mut address: AMQPUri = text.trim().parse().map_err(|_| BusError::Address)?;
            address.query.heartbeat = Some(HEARTBEAT);
            addresses.push(address);
        }
        Ok(Self(addresses))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Connects to the one whose turn it is.
    pub(crate) async fn connect(&self, turn: usize) -> Result<Connection, AmqpError> {
        let address = self.0.get(turn % self.0.len().max(1)).cloned();
        let connecting = Connection::connect_uri(
            address.unwrap_or_default(),
            ConnectionProperties::default().with_connection_name("streamr".into()),
        );
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        Ok(connected.map_err(|_| AmqpError::Timeout("let us connect"))??)
    }
}

/// A channel of its own: what goes wrong on one doesn't end the others.
pub(crate) async fn channel(connection: &Connection) -> Result<Channel, AmqpError> {
    within("open a channel", connection.create_channel()).await
}

/// Says goodbye; a broker that is gone doesn't hear it.
pub(crate) async fn close(connection: &Connection) {
    let goodbye = connection.close(200, "done".into());
    let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
}
