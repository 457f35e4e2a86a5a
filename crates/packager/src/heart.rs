//! What the coordinators hear from here: that this instance is there, who watches, and which sessions it
//! opened on restricted streams.

use std::time::Duration;

use proto::{
    coordinator::{HeartbeatRequest, ServiceKind},
    coordinators::Coordinator,
};
use runtime::grpc::CALL_TIMEOUT;
use tokio::time::timeout;
use types::InstanceId;

use crate::{Settings, registry::Registry};

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Beats for every coordinator.
#[derive(Clone)]
pub(crate) struct Heart {
    instance: InstanceId,
    kinds: Vec<i32>,
    address: String,
    playback_url: String,
    registry: Registry,
}

impl Heart {
    pub(crate) fn new(
        instance: InstanceId,
        settings: &Settings,
        address: String,
        registry: Registry,
    ) -> Self {
        let mut kinds: Vec<i32> = Vec::new();
        kinds.extend(settings.origin.map(|_| i32::from(ServiceKind::Origin)));
        kinds.extend(settings.edge.map(|_| i32::from(ServiceKind::Edge)));
        let named = settings.edge.and(settings.public_url.clone());
        Self {
            instance,
            kinds,
            address,
            playback_url: named.unwrap_or_default(),
            registry,
        }
    }

    /// Beats for one coordinator, forever.
    pub(crate) async fn beat(self, mut coordinator: Coordinator) {
        loop {
            let heartbeat = HeartbeatRequest {
                instance_id: self.instance.to_string(),
                kinds: self.kinds.clone(),
                address: self.address.clone(),
                viewers: self.registry.viewers(),
                stream_ids: Vec::new(),
                playback_url: self.playback_url.clone(),
                sessions: self.registry.opened_lately(),
            };
            let beat = timeout(CALL_TIMEOUT, coordinator.heartbeat(heartbeat)).await;
            if !matches!(beat, Ok(Ok(_))) {
                metrics::counter!("streamr_coordinator_failures_total", "call" => "heartbeat")
                    .increment(1);
                tracing::debug!("a coordinator did not hear the heartbeat");
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
