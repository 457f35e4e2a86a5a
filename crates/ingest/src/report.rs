//! What the coordinator hears from here: streams and their health, and that this ingest is alive.

use std::time::Duration;

use proto::{
    coordinator::{HeartbeatRequest, ReportStreamsRequest, ServiceKind, StreamViewers},
    directory::Coordinator,
};
use runtime::grpc::CALL_TIMEOUT;
use types::InstanceId;

use crate::{hub::Hub, relay::PlaySources};

/// How often streams are reported, and the instance with them.
const EVERY: Duration = Duration::from_secs(1);
/// Changes within this time travel together.
const GATHER: Duration = Duration::from_millis(20);

/// Reports, forever. The first heartbeat comes first, so that reports find the instance's address.
pub(crate) async fn run(
    sources: PlaySources,
    mut coordinator: Coordinator,
    instance: InstanceId,
    address: String,
) {
    let hub = sources.hub.clone();
    let mut heartbeat = HeartbeatRequest {
        instance_id: instance.to_string(),
        kinds: vec![ServiceKind::Ingest.into()],
        address,
        viewers: Vec::new(),
    };
    loop {
        let viewers = sources
            .players()
            .into_iter()
            .map(|(stream, players)| StreamViewers {
                stream_id: stream.to_string(),
                viewers: u32::try_from(players).unwrap_or(u32::MAX),
            });
        heartbeat.viewers = viewers.collect();
        let beat =
            tokio::time::timeout(CALL_TIMEOUT, coordinator.heartbeat(heartbeat.clone())).await;
        if !matches!(beat, Ok(Ok(_))) {
            metrics::counter!("streamr_coordinator_failures_total", "call" => "heartbeat")
                .increment(1);
        }
        report(&hub, &mut coordinator, instance).await;
        if tokio::time::timeout(EVERY, hub.changed()).await.is_ok() {
            tokio::time::sleep(GATHER).await;
        }
    }
}

/// Reports the streams as they are now.
pub(crate) async fn report(hub: &Hub, coordinator: &mut Coordinator, instance: InstanceId) {
    let streams = hub.reports();
    if streams.is_empty() {
        return;
    }
    let request = ReportStreamsRequest {
        instance_id: instance.to_string(),
        streams: streams.clone(),
    };
    match tokio::time::timeout(CALL_TIMEOUT, coordinator.report_streams(request)).await {
        Ok(Ok(_)) => hub.reported(&streams),
        Ok(Err(status)) => {
            metrics::counter!("streamr_coordinator_failures_total", "call" => "report")
                .increment(1);
            tracing::debug!(status = status.message(), "report");
        }
        Err(_) => {
            metrics::counter!("streamr_coordinator_failures_total", "call" => "report").increment(1)
        }
    }
}
