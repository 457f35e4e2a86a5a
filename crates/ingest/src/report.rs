//! What the coordinators hear from here: streams and their health, and that this ingest is alive.

use std::{collections::HashSet, sync::Arc, time::Duration};

use proto::{
    Coordinators,
    coordinator::{
        HeartbeatRequest, PublishState, ReportStreamsRequest, ServiceKind, StreamReport,
        StreamViewers,
    },
    coordinators::Coordinator,
};
use runtime::{Shutdown, grpc::CALL_TIMEOUT};
use tokio::{sync::watch, time::timeout};
use types::InstanceId;

use crate::relay::PlaySources;

/// How often streams are reported, and the instance with them.
const EVERY: Duration = Duration::from_secs(1);
/// Changes within this time travel together.
const GATHER: Duration = Duration::from_millis(20);
/// How long the last report may take.
const LAST: Duration = Duration::from_secs(1);

/// Who reports, and of what.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) sources: PlaySources,
    pub(crate) coordinators: Coordinators,
    pub(crate) instance: InstanceId,
    pub(crate) address: String,
}

/// What is so now. Read once for all coordinators: health is what arrived since it was read last.
#[derive(Debug, Default)]
struct Now {
    heartbeat: HeartbeatRequest,
    streams: Vec<StreamReport>,
}

impl Reporter {
    /// Reports, forever.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let (now, _) = watch::channel(Arc::new(Now::default()));
        for coordinator in self.coordinators.each() {
            shutdown.spawn_until_cancelled(tell(coordinator, now.subscribe()));
        }
        loop {
            now.send_replace(Arc::new(self.now()));
            if timeout(EVERY, self.sources.hub.changed()).await.is_ok() {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    fn now(&self) -> Now {
        let viewers = self.sources.players().into_iter();
        let held = self.sources.hub.ids();
        Now {
            heartbeat: HeartbeatRequest {
                instance_id: self.instance.to_string(),
                kinds: vec![ServiceKind::Ingest.into()],
                address: self.address.clone(),
                viewers: viewers
                    .map(|(stream, players, sessions)| StreamViewers {
                        stream_id: stream.to_string(),
                        viewers: u32::try_from(players).unwrap_or(u32::MAX),
                        sessions,
                        minutes: Vec::new(),
                    })
                    .collect(),
                stream_ids: held.iter().map(ToString::to_string).collect(),
                ..HeartbeatRequest::default()
            },
            streams: self.sources.hub.reports(),
        }
    }

    /// Tells every coordinator how it is as this instance goes.
    pub(crate) async fn last(&self) {
        let now = self.now();
        let told = self
            .coordinators
            .each()
            .map(|coordinator| report(coordinator, &now, now.streams.clone()));
        let _ = timeout(LAST, futures::future::join_all(told)).await;
    }
}

/// Tells one coordinator what is so, whenever that is known anew. The heartbeat comes first, so that reports
/// find the instance's address. One that hangs misses what was meanwhile, and hears what is then.
async fn tell(mut coordinator: Coordinator, mut news: watch::Receiver<Arc<Now>>) {
    let mut told_ends: HashSet<String> = HashSet::new();
    while news.changed().await.is_ok() {
        let now = Arc::clone(&news.borrow_and_update());
        if now.heartbeat.instance_id.is_empty() {
            continue;
        }
        let beat = timeout(CALL_TIMEOUT, coordinator.heartbeat(now.heartbeat.clone())).await;
        if !matches!(beat, Ok(Ok(_))) {
            metrics::counter!("streamr_coordinator_failures_total", "call" => "heartbeat")
                .increment(1);
            tracing::debug!("a coordinator did not hear the heartbeat");
        }
        let is_end = |report: &&StreamReport| report.state() == PublishState::Ended;
        let ends = now.streams.iter().filter(is_end);
        let ends: HashSet<String> = ends.map(|report| report.publish_id.clone()).collect();
        told_ends.retain(|publish| ends.contains(publish));
        let fresh = now.streams.iter().filter(|report| {
            report.state() != PublishState::Ended || !told_ends.contains(&report.publish_id)
        });
        if report(coordinator.clone(), &now, fresh.cloned().collect()).await {
            told_ends.extend(ends);
        }
    }
}

/// Reports `streams`; whether they were heard.
async fn report(mut coordinator: Coordinator, now: &Now, streams: Vec<StreamReport>) -> bool {
    if streams.is_empty() {
        return true;
    }
    let request = ReportStreamsRequest {
        instance_id: now.heartbeat.instance_id.clone(),
        streams,
    };
    let heard = timeout(CALL_TIMEOUT, coordinator.report_streams(request)).await;
    let reason = match &heard {
        Ok(Ok(_)) => return true,
        Ok(Err(status)) => status.message(),
        Err(_) => "it did not answer in time",
    };
    metrics::counter!("streamr_coordinator_failures_total", "call" => "report").increment(1);
    tracing::debug!(reason, "a coordinator did not take a report");
    false
}
