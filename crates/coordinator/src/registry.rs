//! Which services there are, and how many watch: what heartbeats say, kept while they come.

use std::time::Duration;

use cache::Cache;
use prost::Message;
use proto::coordinator::HeartbeatRequest;
use types::{InstanceId, StreamId};

use crate::Error;

/// How long one heartbeat keeps an instance; they come every second.
const PRESENCE: Duration = Duration::from_secs(5);

/// The service registry.
#[derive(Clone)]
pub(crate) struct Registry {
    cache: Cache,
}

impl Registry {
    pub(crate) fn new(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
        }
    }

    pub(crate) fn heartbeat(&self, request: &HeartbeatRequest) -> Result<(), Error> {
        let instance: InstanceId = proto::convert::field(&request.instance_id, "instance_id")?;
        self.cache.put_presence(
            &format!("service/{instance}"),
            request.encode_to_vec(),
            PRESENCE,
        )?;
        Ok(())
    }

    /// The services that reported lately.
    pub(crate) fn instances(&self) -> Vec<HeartbeatRequest> {
        let present = self.cache.presence("service/");
        present
            .iter()
            .filter_map(|(_, bytes)| HeartbeatRequest::decode(bytes.as_slice()).ok())
            .collect()
    }

    /// Where an instance's gRPC answers.
    pub(crate) fn address(&self, instance: InstanceId) -> Option<String> {
        let id = instance.to_string();
        self.instances()
            .into_iter()
            .find(|known| known.instance_id == id)
            .map(|known| known.address)
    }

    /// Viewers of a stream, over all edges and ingests.
    pub(crate) fn viewers(&self, stream: StreamId) -> u32 {
        let id = stream.to_string();
        let counts = self.instances().into_iter().flat_map(|known| known.viewers);
        counts
            .filter(|count| count.stream_id == id)
            .map(|count| count.viewers)
            .sum()
    }
}
