//! Publishing: many events unconfirmed at once, of one aggregate only one, so that none overtakes another
//! of the same when it has to be sent again.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use types::EventId;

use super::{
    connect::{AmqpError, within},
    topology::Topology,
};
use crate::{
    Event, Pending,
    relay::{Carried, Carrier},
};

/// Events published and not confirmed yet, at most.
const WINDOW: usize = 256;

/// Publishes on a channel of its own.
pub(crate) struct Publisher {
    channel: Channel,
    topology: Topology,
    /// Whether the last batch had an event that was not taken.
    refused: AtomicBool,
}

/// What the broker says to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Every queue that wants it has it.
    Taken,
    /// No queue wants it.
    Returned,
    /// A queue is full or has no leader.
    Refused,
}

/// What became of one aggregate's events.
#[derive(Default)]
struct Outcome {
    sent: Vec<EventId>,
    failed: Option<(EventId, Answer)>,
}

impl Publisher {
    /// A publisher whose every event is confirmed.
    pub(crate) async fn open(channel: Channel, topology: Topology) -> Result<Self, AmqpError> {
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        within("confirm what is published", confirms).await?;
        Ok(Self {
            channel,
            topology,
            refused: AtomicBool::new(false),
        })
    }

    /// Publishes one aggregate's events one after the other; the first that fails ends it.
    async fn publish_all(&self, events: Vec<Pending>) -> Result<Outcome, AmqpError> {
        let mut outcome = Outcome::default();
        for Pending { event, only, .. } in &events {
            // Dead letters of the local bus go where they died only.
            let (exchange, key) = match only {
                Some(only) => (ShortString::default(), self.topology.queue(only)),
                None => (self.topology.events(), Topology::routing_key(event)),
            };
            let answer = publish(&self.channel, exchange, key, event).await?;
            if answer != Answer::Taken {
                outcome.failed = Some((event.id, answer));
                break;
            }
            metrics::counter!("streamr_events_sent_total", "event" => event.name()).increment(1);
            outcome.sent.push(event.id);
        }
        Ok(outcome)
    }
}

/// Publishes one event and waits for what the broker says.
pub(crate) async fn publish(
    channel: &Channel,
    exchange: ShortString,
    key: ShortString,
    event: &Event,
) -> Result<Answer, AmqpError> {
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/x-protobuf".into())
        .with_type(event.name().into())
        .with_message_id(event.id.to_string().into());
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..Default::default()
    };
    let payload = event.encode();
    let confirmed = async {
        let published = channel.basic_publish(exchange, key, mandatory, &payload, properties);
        published.await?.await
    };
    let confirmation = within("confirm an event", confirmed).await?;
    let (name, is_ack) = (event.name(), confirmation.is_ack());
    // An event that no queue wants is acknowledged all the same; it comes back.
    if matches!(confirmation, Confirmation::NotRequested) || confirmation.take_message().is_some() {
        metrics::counter!("streamr_events_returned_total", "event" => name).increment(1);
        return Ok(Answer::Returned);
    }
    if is_ack {
        return Ok(Answer::Taken);
    }
    metrics::counter!("streamr_events_nacked_total", "event" => name).increment(1);
    Ok(Answer::Refused)
}

/// By aggregate, in the order of their first events; each aggregate's by version: of two processes whose
/// clocks differ the ids may not be in order.
fn by_aggregate(batch: Vec<Pending>) -> Vec<Vec<Pending>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Vec<Pending>> = Vec::new();
    for pending in batch {
        let place = *places
            .entry(pending.event.aggregate())
            .or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(pending),
            None => groups.push(vec![pending]),
        }
    }
    for group in &mut groups {
        group.sort_by_key(|pending| pending.event.version);
    }
    groups
}

#[async_trait]
impl Carrier for Publisher {
    type Error = AmqpError;

    async fn carry(&self, batch: Vec<Pending>) -> Result<Carried, AmqpError> {
        let published = stream::iter(by_aggregate(batch))
            .map(|group| self.publish_all(group))
            .buffer_unordered(WINDOW);
        let outcomes: Vec<Outcome> = published.try_collect().await?;
        let mut carried = Carried::default();
        let (mut returned, mut refused) = (0_usize, 0_usize);
        for outcome in outcomes {
            carried.sent.extend(outcome.sent);
            let Some((id, answer)) = outcome.failed else {
                continue;
            };
            carried.failed.push(id);
            match answer {
                Answer::Returned => returned += 1,
                _ => refused += 1,
            }
        }
        let before = self.refused.swap(returned + refused > 0, Ordering::Relaxed);
        match (before, returned + refused > 0) {
            (false, true) => {
                tracing::warn!(
                    returned,
                    refused,
                    "RabbitMQ does not take some events: no queue wants them, or one is full; they stay in the outbox"
                );
            }
            (true, false) => tracing::info!("RabbitMQ takes all events again"),
            _ => {}
        }
        Ok(carried)
    }
}

#[cfg(test)]
mod tests {
    use types::StreamId;

    use super::*;
    use crate::Fact;

    #[test]
    fn events_of_one_aggregate_go_by_version() {
        let (one, other) = (StreamId::new(), StreamId::new());
        let pending = |stream, version| Pending {
            event: Event {
                id: EventId::new(),
                time_us: 0,
                version,
                trace_parent: String::new(),
                fact: Fact::StreamChanged { stream },
            },
            attempts: 0,
            only: None,
        };
        let batch = vec![
            pending(one, 2),
            pending(other, 7),
            pending(one, 1),
            pending(one, 3),
        ];
        let versions: Vec<Vec<u64>> = by_aggregate(batch)
            .iter()
            .map(|group| group.iter().map(|pending| pending.event.version).collect())
            .collect();
        assert_eq!(versions, [vec![1, 2, 3], vec![7]]);
    }
}
