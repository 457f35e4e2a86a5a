//! The bus: its URL's scheme picks the adapter.

use std::{sync::Arc, time::Duration};

use runtime::{Shutdown, health::Check};
use types::{InstanceId, Secret};

use crate::{
    Nudge, Outbox, OutboxError, Subscription,
    amqp::{Addresses, AmqpBus, DeadLetterCount},
    local::LocalCarrier,
    relay::Relay,
};

/// How often the local bus reads the outbox without a nudge: only commands write beside it.
const POLL_LOCAL: Duration = Duration::from_millis(500);
/// The same on a broker: other processes write to the outbox as often as this one, and a change is to reach
/// everybody at once.
const POLL_SHARED: Duration = Duration::from_millis(25);
/// How long the right to send may take to be given back at the end.
const RESIGN: Duration = Duration::from_secs(1);

/// A bus that can't be used as configured, or not now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Not a URL we have an adapter for.
    #[error("bus.url must be \"local:\" or start with \"amqp://\" or \"amqps://\"")]
    Scheme,
    /// Not the address of a broker; it may hold a password, so it isn't shown.
    #[error("bus.url holds no address such as \"amqp://<user>:<password>@<host>:5672/%2f\"")]
    Address,
    /// The broker.
    #[error("{0}")]
    Broker(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// The bus of one process.
pub struct Bus {
    adapter: Adapter,
    relay: Relay,
    subscriptions: Vec<Subscription>,
}

enum Adapter {
    Local,
    Amqp { addresses: Addresses, name: String },
}

/// The broker's addresses, or `None` when the bus is in this process.
pub(crate) fn addresses(url: &Secret<String>) -> Result<Option<Addresses>, BusError> {
    match url.expose().split(':').next() {
        Some("local") => Ok(None),
        Some("amqp" | "amqps") => Ok(Some(Addresses::parse(url)?)),
        _ => Err(BusError::Scheme),
    }
}

impl Bus {
    /// The bus at `url` that sends what `outbox` holds, woken by `nudge`. `name` prefixes what is declared
    /// on a broker.
    pub fn open(
        url: &Secret<String>,
        name: &str,
        outbox: Arc<dyn Outbox>,
        nudge: Nudge,
    ) -> Result<Self, BusError> {
        let (adapter, poll) = match addresses(url)? {
            None => (Adapter::Local, POLL_LOCAL),
            Some(addresses) => {
                let name = name.to_owned();
                (Adapter::Amqp { addresses, name }, POLL_SHARED)
            }
        };
        let relay = Relay {
            outbox,
            nudge,
            holder: InstanceId::new(),
            poll,
        };
        Ok(Self {
            adapter,
            relay,
            subscriptions: Vec::new(),
        })
    }

    /// Adds a subscription; before [`Self::run`].
    pub fn subscribe(&mut self, subscription: Subscription) {
        self.subscriptions.push(subscription);
    }

    /// Carries events until `shutdown`; `check` says whether it can.
    pub async fn run(self, shutdown: Shutdown, check: Check) {
        let Self {
            adapter,
            relay,
            subscriptions,
        } = self;
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = carry(adapter, relay.clone(), subscriptions, &check) => {}
            () = relay.look_after() => {}
        }
        let resigned = relay.outbox.resign(relay.holder);
        // If it is not heard, the right runs out by itself.
        let _ = tokio::time::timeout(RESIGN, resigned).await;
    }
}

async fn carry(adapter: Adapter, relay: Relay, subscriptions: Vec<Subscription>, check: &Check) {
    match adapter {
        Adapter::Local => {
            check.ok();
            match relay.run(&LocalCarrier { subscriptions }).await {}
        }
        Adapter::Amqp { addresses, name } => {
            let bus = AmqpBus {
                addresses,
                name,
                relay,
                subscriptions,
                dead_letters: DeadLetterCount::default(),
            };
            bus.run(check).await;
        }
    }
}
