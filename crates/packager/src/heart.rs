//! What the coordinators hear from here: that this instance is there, who watches, and which sessions it
//! opened on restricted streams.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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

/// So much of the past is told in one heartbeat at most: the next goes on from there.
const TOLD_AT_ONCE_MS: i64 = 3_600_000;
/// What was sent in the minutes before the last heartbeat that a coordinator heard is told again: it may have died
/// before it wrote that.
const TOLD_AGAIN_MS: i64 = 120_000;

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Beats for every coordinator.
#[derive(Clone)]
pub(crate) struct Heart {
    instance: InstanceId,
    kinds: Vec<i32>,
    address: String,
    playback_url: String,
    http_address: String,
    registry: Registry,
}

/// Where other services find playback: on the host that they find this one by.
fn http_address(address: &str, public: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    if !public.ip().is_unspecified() {
        return format!("{scheme}://{public}");
    }
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    let host = match host {
        "" | "0.0.0.0" | "[::]" => "127.0.0.1",
        host => host,
    };
    format!("{scheme}://{host}:{}", public.port())
}

impl Heart {
    pub(crate) fn new(
        instance: InstanceId,
        settings: &Settings,
        address: String,
        public: Option<SocketAddr>,
        registry: Registry,
    ) -> Self {
        let mut kinds: Vec<i32> = Vec::new();
        kinds.extend(settings.origin.map(|_| i32::from(ServiceKind::Origin)));
        kinds.extend(settings.edge.map(|_| i32::from(ServiceKind::Edge)));
        let named = settings.edge.and(settings.public_url.clone());
        Self {
            instance,
            kinds,
            playback_url: named.unwrap_or_default(),
            http_address: public.map_or_else(String::new, |public| {
                http_address(&address, public, settings.tls.is_some())
            }),
            address,
            registry,
        }
    }

    /// Beats for one coordinator, forever.
    pub(crate) async fn beat(self, mut coordinator: Coordinator) {
        // Nothing was sent before.
        let mut heard_ms = unix_ms();
        loop {
            let told_ms = unix_ms().min(heard_ms.saturating_add(TOLD_AT_ONCE_MS));
            let told = heard_ms - TOLD_AGAIN_MS..told_ms;
            let heartbeat = HeartbeatRequest {
                instance_id: self.instance.to_string(),
                kinds: self.kinds.clone(),
                address: self.address.clone(),
                viewers: self.registry.viewers(&told),
                stream_ids: Vec::new(),
                playback_url: self.playback_url.clone(),
                http_address: self.http_address.clone(),
                sessions: self.registry.opened_lately(),
            };
            let beat = timeout(CALL_TIMEOUT, coordinator.heartbeat(heartbeat)).await;
            if matches!(beat, Ok(Ok(_))) {
                heard_ms = told_ms;
            } else {
                metrics::counter!("streamr_coordinator_failures_total", "call" => "heartbeat")
                    .increment(1);
                tracing::debug!("a coordinator did not hear the heartbeat");
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
