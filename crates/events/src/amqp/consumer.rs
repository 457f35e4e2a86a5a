//! Consuming: what has come is applied as a batch and acknowledged after. While the handler can't, nothing
//! is acknowledged, and the broker sends no more than the prefetch.

use futures::StreamExt;
use lapin::{
    Channel, Consumer as Deliveries,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions},
    types::{FieldTable, ShortString},
};
use types::InstanceId;

use super::{
    connect::{AmqpError, within},
    topology::Topology,
};
use crate::{Event, Kind, Subscription};

/// Events applied at once.
const BATCH: usize = 256;
/// Events the broker sends ahead.
const PREFETCH: u16 = 512;

/// One subscription's consumer.
pub(crate) struct Consumer {
    subscription: Subscription,
    channel: Channel,
    queue: ShortString,
    deliveries: Deliveries,
}

impl Consumer {
    /// Declares the subscription's queue and begins to consume it.
    pub(crate) async fn open(
        channel: Channel,
        topology: &Topology,
        subscription: Subscription,
        process: InstanceId,
    ) -> Result<Self, AmqpError> {
        let qos = channel.basic_qos(PREFETCH, BasicQosOptions::default());
        within("bound what it sends", qos).await?;
        let queue = topology.subscribe(&channel, &subscription, process).await?;
        let consuming = channel.basic_consume(
            queue.clone(),
            process.to_string().into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let deliveries = within("begin a consumer", consuming).await?;
        Ok(Self {
            subscription,
            channel,
            queue,
            deliveries,
        })
    }

    /// Applies what comes, until the broker ends it.
    pub(crate) async fn run(self) -> AmqpError {
        let Self {
            subscription,
            channel,
            queue,
            deliveries,
        } = self;
        if subscription.kind == Kind::Broadcast {
            subscription.catch_up().await;
        }
        let mut batches = deliveries.ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            let batch: Result<Vec<Delivery>, lapin::Error> = batch.into_iter().collect();
            let applied = match batch {
                Ok(batch) => apply(&subscription, &channel, batch).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = applied {
                return error;
            }
        }
        AmqpError::Cancelled(queue.to_string())
    }
}

async fn apply(
    subscription: &Subscription,
    channel: &Channel,
    batch: Vec<Delivery>,
) -> Result<(), AmqpError> {
    let mut events = Vec::with_capacity(batch.len());
    let mut tags = Vec::with_capacity(batch.len());
    let mut rejected = Vec::new();
    for delivery in batch {
        match Event::decode(&delivery.data) {
            Ok(event) => {
                events.push(event);
                tags.push(delivery.delivery_tag);
            }
            Err(error) => {
                metrics::counter!("streamr_events_dead_total", "queue" => subscription.name, "event" => "unreadable")
                    .increment(1);
                tracing::error!(queue = subscription.name, %error, "event can't be read; it is a dead letter");
                rejected.push(delivery.delivery_tag);
            }
        }
    }
    for poison in subscription.apply(&events).await {
        rejected.extend(tags.get(poison.index));
    }
    // A rejected event of a durable queue becomes a dead letter, of a broadcast it is dropped.
    for tag in &rejected {
        let reject = channel.basic_reject(*tag, BasicRejectOptions { requeue: false });
        within("take a rejection", reject).await?;
    }
    if let Some(last) = tags.iter().rev().find(|tag| !rejected.contains(tag)) {
        let ack = channel.basic_ack(*last, BasicAckOptions { multiple: true });
        within("take an acknowledgement", ack).await?;
    }
    Ok(())
}
