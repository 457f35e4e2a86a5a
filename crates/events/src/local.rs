//! The local bus: batches go to the handlers of this process. For one process on one outbox.

use std::convert::Infallible;

use async_trait::async_trait;

use crate::{
    Dead, Event, Kind, Pending, Subscription,
    relay::{Carried, Carrier},
};

/// The handlers of this process.
pub(crate) struct LocalCarrier {
    pub(crate) subscriptions: Vec<Subscription>,
}

#[async_trait]
impl Carrier for LocalCarrier {
    type Error = Infallible;

    async fn carry(&self, batch: Vec<Pending>) -> Result<Carried, Infallible> {
        let mut dead: Vec<Dead> = Vec::new();
        for subscription in &self.subscriptions {
            let for_it = |pending: &&Pending| {
                let only = pending.only.as_deref();
                only.is_none_or(|only| only == subscription.name)
                    && subscription.wants(&pending.event)
            };
            let events: Vec<Event> = batch
                .iter()
                .filter(for_it)
                .map(|pending| pending.event.clone())
                .collect();
            let poison = subscription.apply(&events).await;
            // Nobody waits for a broadcast that one process can't apply.
            if subscription.kind == Kind::Durable {
                dead.extend(poison.into_iter().map(|poison| Dead {
                    id: events[poison.index].id,
                    queue: subscription.name.to_owned(),
                    reason: poison.reason,
                }));
            }
        }
        let sent = batch
            .iter()
            .filter(|pending| dead.iter().all(|dead| dead.id != pending.event.id))
            .map(|pending| {
                metrics::counter!("streamr_events_sent_total", "event" => pending.event.name())
                    .increment(1);
                pending.event.id
            })
            .collect();
        Ok(Carried {
            sent,
            failed: Vec::new(),
            dead,
        })
    }
}
