//! Which services there are, and how many watch: what heartbeats say, kept while they come.

use std::{sync::Arc, time::Duration};

use cache::Cache;
use parking_lot::Mutex;
use prost::Message;
use proto::coordinator::HeartbeatRequest;
use tokio::time::Instant;
use types::{InstanceId, StreamId};

use crate::Error;

/// How long one heartbeat keeps an instance; they come every second.
const PRESENCE: Duration = Duration::from_secs(5);

/// How long what other coordinators heard is believed: who lists a hundred streams asks once.
const BELIEVED: Duration = Duration::from_millis(200);

type Instances = Arc<Vec<HeartbeatRequest>>;

/// The service registry.
#[derive(Clone)]
pub(crate) struct Registry {
    cache: Cache,
    read: Arc<Mutex<Option<(Instant, Instances)>>>,
}

impl Registry {
    pub(crate) fn new(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            read: Arc::default(),
        }
    }

    pub(crate) async fn heartbeat(&self, request: &HeartbeatRequest) -> Result<(), Error> {
        let instance: InstanceId = proto::convert::field(&request.instance_id, "instance_id")?;
        self.cache
            .put_presence(
                &format!("service/{instance}"),
                request.encode_to_vec(),
                PRESENCE,
            )
            .await?;
        self.read.lock().take();
        Ok(())
    }

    /// The services that reported lately.
    pub(crate) async fn instances(&self) -> Instances {
        let read = self.read.lock().clone();
        if let Some((_, instances)) = read.filter(|(at, _)| at.elapsed() < BELIEVED) {
            return instances;
        }
        let present = self.cache.presence("service/").await;
        let instances: Instances = Arc::new(
            present
                .iter()
                .filter_map(|(_, bytes)| HeartbeatRequest::decode(bytes.as_slice()).ok())
                .collect(),
        );
        *self.read.lock() = Some((Instant::now(), Arc::clone(&instances)));
        instances
    }

    /// Where an instance's gRPC answers.
    pub(crate) async fn address(&self, instance: InstanceId) -> Option<String> {
        let id = instance.to_string();
        let instances = self.instances().await;
        let known = instances.iter().find(|known| known.instance_id == id);
        known.map(|known| known.address.clone())
    }

    /// Viewers of a stream, over all edges and ingests.
    pub(crate) async fn viewers(&self, stream: StreamId) -> u32 {
        let id = stream.to_string();
        let instances = self.instances().await;
        let counts = instances.iter().flat_map(|known| &known.viewers);
        counts
            .filter(|count| count.stream_id == id)
            .map(|count| count.viewers)
            .sum()
    }
}
