//! Following the coordinator's `Watch`: a snapshot, then every change, and again after a break.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use runtime::{backoff::Backoff, grpc::CALL_TIMEOUT};
use tokio::time::Instant;
use types::{InstanceId, StreamId};

use super::{Directory, Revocation, StreamInfo};
use crate::{
    ConvertError, Coordinators,
    convert::field,
    coordinator::{WatchRequest, watch_response::Event},
    coordinators::Coordinator,
    cut::Spared,
};

/// How long a stream is believed live that a new snapshot does not name.
const BELIEF: Duration = Duration::from_secs(10);

/// One connection's progress.
struct Following {
    /// The streams named so far, until the snapshot is complete.
    snapshot: Option<HashMap<StreamId, StreamInfo>>,
    stale: Stale,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            snapshot: Some(HashMap::new()),
            stale: Stale::default(),
        }
    }
}

impl Directory {
    /// Follows one of the coordinators, and the next when that one is away, forever. `connected` is told
    /// whether any is there.
    pub async fn follow(
        self,
        coordinators: Coordinators,
        instance: InstanceId,
        connected: impl Fn(Result<(), String>),
    ) {
        let mut backoff = Backoff::internal();
        let mut tried = 0;
        let up = metrics::gauge!("streamr_coordinator_up");
        up.set(0.0);
        loop {
            let (at, Some(coordinator)) = coordinators.first() else {
                return;
            };
            let mut reached = false;
            let stopped = self
                .follow_once(coordinator, instance, &mut || {
                    reached = true;
                    up.set(1.0);
                    tracing::info!(coordinator = at, "follows a coordinator");
                    connected(Ok(()));
                })
                .await;
            if reached {
                backoff.reset();
                tried = 0;
            }
            let why = match stopped {
                Ok(()) => "the coordinator closed the connection".to_owned(),
                Err(status) => format!("the coordinator can't be reached: {}", status.message()),
            };
            metrics::counter!("streamr_coordinator_failures_total", "call" => "watch").increment(1);
            up.set(0.0);
            if reached {
                tracing::warn!(reason = why, "lost the coordinator; trying the next");
            }
            coordinators.pass_over(at);
            tried += 1;
            if tried >= coordinators.each().count() {
                connected(Err(why));
                backoff.wait().await;
            }
        }
    }

    async fn follow_once(
        &self,
        mut coordinator: Coordinator,
        instance: InstanceId,
        connected: &mut impl FnMut(),
    ) -> Result<(), tonic::Status> {
        let request = WatchRequest {
            instance_id: instance.to_string(),
        };
        let call = tokio::time::timeout(CALL_TIMEOUT, coordinator.watch(request)).await;
        let mut events = call
            .map_err(|_| tonic::Status::deadline_exceeded("it did not answer in time"))??
            .into_inner();
        let mut following = Following::default();
        loop {
            let message = tokio::select! {
                message = events.message() => message?,
                () = following.stale.due() => {
                    self.drop_stale(&mut following);
                    continue;
                }
            };
            let Some(message) = message else {
                return Ok(());
            };
            let completes = matches!(message.event, Some(Event::SnapshotEnd(_)));
            if let Some(event) = message.event {
                self.take(event, &mut following)?;
            }
            if completes {
                connected();
            }
        }
    }

    /// Takes what the coordinator says after its snapshot; other crates' tests say it.
    pub fn apply(&self, event: Event) -> Result<(), ConvertError> {
        let mut following = Following {
            snapshot: None,
            stale: Stale::default(),
        };
        self.take(event, &mut following)
    }

    fn drop_stale(&self, following: &mut Following) {
        let stale = std::mem::take(&mut following.stale);
        let mut state = self.state.write();
        for id in stale.streams {
            state.forget_stream(id);
        }
        drop(state);
        self.changed();
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Takes one event.
    fn take(&self, event: Event, following: &mut Following) -> Result<(), ConvertError> {
        match event {
            Event::Stream(info) => {
                let info = StreamInfo::try_from(info)?;
                following.stale.streams.remove(&info.id);
                match &mut following.snapshot {
                    Some(snapshot) => drop(snapshot.insert(info.id, info)),
                    None => self.state.write().set_stream(info),
                }
            }
            Event::SnapshotEnd(_) => {
                if let Some(snapshot) = following.snapshot.take() {
                    let mut state = self.state.write();
                    following.stale = Stale::new(state.others(&snapshot));
                    for info in snapshot.into_values() {
                        state.set_stream(info);
                    }
                }
            }
            Event::Gone(gone) => {
                let id = field(&gone.stream_id, "stream_id")?;
                self.state.write().forget_stream(id);
            }
            Event::PublishRevoked(revoked) => {
                let spared = match revoked.except_publish_id.parse() {
                    Ok(publish) => Spared::One(publish),
                    Err(_) if revoked.spares_after_us > 0 => Spared::After(revoked.spares_after_us),
                    Err(_) => Spared::Nobody,
                };
                let revocation = Revocation {
                    stream: field(&revoked.stream_id, "stream_id")?,
                    reason: revoked.reason,
                    spared,
                    end: revoked.end,
                };
                // Nobody listens in services without publishers.
                let _ = self.revocations.send(revocation);
            }
            Event::PlaybackKeys(keys) => self.state.write().set_keys(&keys),
            Event::Flags(flags) => self.state.write().set_flags(&flags),
            Event::Edges(edges) => {
                let named: Result<Vec<_>, ConvertError> = edges
                    .edges
                    .into_iter()
                    .map(|edge| Ok((field(&edge.instance_id, "instance_id")?, edge.playback_url)))
                    .collect();
                self.state.write().edges = named?.into();
            }
            Event::SessionRevoked(revoked) => {
                let stream = field(&revoked.stream_id, "stream_id")?;
                let session = field(&revoked.session_id, "session_id")?;
                self.state.write().revoke(stream, session);
            }
        }
        if following.snapshot.is_none() {
            self.changed();
        }
        Ok(())
    }
}

/// Streams that a snapshot did not name. A coordinator that restarted hears of live streams within
/// seconds: until then they are believed to go on.
#[derive(Default)]
struct Stale {
    streams: HashSet<StreamId>,
    until: Option<Instant>,
}

impl Stale {
    fn new(streams: HashSet<StreamId>) -> Self {
        let until = (!streams.is_empty()).then(|| Instant::now() + BELIEF);
        Self { streams, until }
    }

    /// Waits until they are believed no longer; forever when there are none.
    async fn due(&self) {
        match self.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
