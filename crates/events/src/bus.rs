//! The bus: its URL's scheme picks the adapter.

use std::{sync::Arc, time::Duration};

use runtime::{Shutdown, health::Check};
use types::{InstanceId, Secret};

use crate::{Nudge, Outbox, Subscription, local::LocalCarrier, relay::Relay};

/// How often the local bus reads the outbox without a nudge: only commands write beside it.
const POLL_LOCAL: Duration = Duration::from_millis(500);
/// How long the right to send may take to be given back at the end.
const RESIGN: Duration = Duration::from_secs(1);

/// A bus that can't be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Not a URL we have an adapter for.
    #[error("bus.url must be \"local:\" or start with \"amqp://\" or \"amqps://\"")]
    Scheme,
}

/// The bus of one process.
pub struct Bus {
    relay: Relay,
    subscriptions: Vec<Subscription>,
}

impl Bus {
    /// The bus at `url` that sends what `outbox` holds, woken by `nudge`.
    pub fn open(
        url: &Secret<String>,
        name: &str,
        outbox: Arc<dyn Outbox>,
        nudge: Nudge,
    ) -> Result<Self, BusError> {
        if !url.expose().starts_with("local:") {
            return Err(BusError::Scheme);
        }
        let relay = Relay {
            outbox,
            nudge,
            holder: InstanceId::new(),
            poll: POLL_LOCAL,
        };
        Ok(Self {
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
        let carrier = LocalCarrier {
            subscriptions: self.subscriptions,
        };
        check.ok();
        tokio::select! {
            () = shutdown.cancelled() => {}
            never = self.relay.run(&carrier) => match never {},
            () = self.relay.look_after() => {}
        }
        let resigned = self.relay.outbox.resign(self.relay.holder);
        let _ = tokio::time::timeout(RESIGN, resigned).await;
    }
}
