//! The hub: live streams and their fan-out. Knows samples and tracks, not protocols.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use media::{FrameRate, Packet};
use parking_lot::Mutex;
use proto::{
    coordinator::{PublishState, StreamReport},
    cut::Spared,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use types::{ByteCount, PublishId, Slug, StreamId};

use crate::Error;
pub use crate::{item::Item, live::LiveStream};

/// How long an end is reported: a coordinator that was away for less hears of it.
const TOLD: Duration = Duration::from_secs(60);
/// Ends remembered at once; the oldest go first, and the coordinators find out by silence.
const MAX_ENDED: usize = 10_000;

/// Who publishes what, as the coordinator authorized it.
#[derive(Debug, Clone)]
pub struct Authorized {
    /// The stream.
    pub stream: StreamId,
    /// Its name in URLs.
    pub slug: Slug,
    /// Names the publisher.
    pub publish: PublishId,
    /// When the broadcast began that it continues, Unix time in milliseconds; `None`: it begins one.
    pub began_unix_ms: Option<i64>,
    /// The `traceparent` of its authorization; empty when that was not traced.
    pub trace_parent: String,
}

/// Why a publisher was cut off.
pub type Reason = Arc<Mutex<String>>;

/// All live streams of this ingest. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    streams: Arc<Mutex<HashMap<StreamId, Arc<LiveStream>>>>,
    /// Reports of streams that ended, kept until every coordinator had the time to hear them.
    ended: Arc<Mutex<VecDeque<(Instant, StreamReport)>>>,
    queue: ByteCount,
    /// Something changed that the coordinator must know at once.
    changed: Arc<Notify>,
}

impl Hub {
    /// A hub without streams; `queue` bounds what is kept of each behind its current GOP.
    pub fn new(queue: ByteCount) -> Self {
        Self {
            streams: Arc::default(),
            ended: Arc::default(),
            queue,
            changed: Arc::default(),
        }
    }

    /// The live stream with this id.
    pub fn by_id(&self, id: StreamId) -> Option<Arc<LiveStream>> {
        self.streams.lock().get(&id).cloned()
    }

    /// The live stream with this name.
    pub fn by_slug(&self, slug: &Slug) -> Option<Arc<LiveStream>> {
        self.streams
            .lock()
            .values()
            .find(|stream| stream.slug() == slug)
            .cloned()
    }

    /// Waits until something changed that the coordinator must know.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Begins to publish: starts the stream, or continues one whose publisher left, or replaces a
    /// publisher that fell silent. Refused while there is one that is alive.
    pub fn publish(&self, authorized: &Authorized) -> Result<Publication, Error> {
        let mut streams = self.streams.lock();
        let stream = streams
            .entry(authorized.stream)
            .or_insert_with(|| Arc::new(LiveStream::new(authorized, self.queue)))
            .clone();
        let (cut, reason) = (CancellationToken::new(), Reason::default());
        stream.begin(authorized.publish, cut.clone(), Arc::clone(&reason))?;
        drop(streams);
        self.changed.notify_one();
        metrics::counter!("streamr_publishes_total").increment(1);
        Ok(Publication {
            hub: self.clone(),
            stream,
            id: authorized.publish,
            cut,
            reason,
        })
    }

    /// Cuts a stream's publisher off, unless it is spared.
    pub fn revoke(&self, stream: StreamId, reason: &str, spared: Spared) {
        if let Some(stream) = self.by_id(stream) {
            stream.cut(reason, spared);
        }
    }

    /// Ends a stream at once, without a grace period; its publisher is cut off.
    pub fn end(&self, stream: StreamId, reason: &str) {
        // Out of the map first: who publishes from now on starts another broadcast.
        let ended = self.streams.lock().remove(&stream);
        if let Some(stream) = ended {
            stream.cut(reason, Spared::Nobody);
            self.ended(&stream, reason);
        }
    }

    /// The streams held here.
    pub(crate) fn ids(&self) -> Vec<StreamId> {
        self.streams.lock().keys().copied().collect()
    }

    /// Lets a stream without a publisher go: another ingest has it, and whoever reads it here goes there.
    pub(crate) fn give_up(&self, id: StreamId) {
        let mut streams = self.streams.lock();
        let Some(stream) = streams.get(&id).filter(|stream| stream.give_up()).cloned() else {
            return;
        };
        streams.remove(&id);
        drop(streams);
        stream.fanout().close();
        metrics::counter!("streamr_streams_moved_total").increment(1);
        tracing::info!(stream_id = %id, slug = %stream.slug(), "stream is at another ingest now");
    }

    /// Ends streams that waited longer than `grace` for their publisher.
    pub(crate) fn end_expired(&self, grace: Duration) {
        let mut expired = Vec::new();
        self.streams.lock().retain(|_, stream| {
            let is_over = stream.has_waited(grace);
            if is_over {
                expired.push(Arc::clone(stream));
            }
            !is_over
        });
        for stream in expired {
            metrics::counter!("streamr_grace_expired_total").increment(1);
            self.ended(
                &stream,
                "its publisher did not come back within the grace period",
            );
        }
    }

    fn ended(&self, stream: &LiveStream, reason: &str) {
        stream.fanout().close();
        let mut report = stream.report();
        report.state = PublishState::Ended.into();
        let mut ended = self.ended.lock();
        ended.push_back((Instant::now(), report));
        if ended.len() > MAX_ENDED {
            ended.pop_front();
        }
        drop(ended);
        self.changed.notify_one();
        tracing::info!(stream_id = %stream.id(), slug = %stream.slug(), reason, "stream ended");
    }

    /// What to tell the coordinators: what is live, and what ended lately.
    pub(crate) fn reports(&self) -> Vec<StreamReport> {
        let streams: Vec<_> = self.streams.lock().values().cloned().collect();
        let mut ended = self.ended.lock();
        ended.retain(|(at, _)| at.elapsed() < TOLD);
        let mut reports: Vec<_> = ended.iter().map(|(_, report)| report.clone()).collect();
        drop(ended);
        reports.extend(streams.iter().map(|stream| stream.report()));
        reports
    }
}

/// A publisher's hold on its stream; dropping it starts the grace period.
#[derive(Debug)]
pub struct Publication {
    hub: Hub,
    stream: Arc<LiveStream>,
    id: PublishId,
    cut: CancellationToken,
    reason: Reason,
}

impl Publication {
    /// Takes what the publisher sent.
    pub fn packet(&self, packet: Packet) {
        self.stream.packet(packet);
    }

    /// Takes what the publisher says its frame rate is.
    pub fn declare_frame_rate(&self, rate: FrameRate) {
        self.stream.declare_frame_rate(rate);
    }

    /// The stream published to.
    pub fn stream(&self) -> &LiveStream {
        &self.stream
    }

    /// Cancelled when the publisher must go.
    pub(crate) fn cut(&self) -> CancellationToken {
        self.cut.clone()
    }

    /// Why it must go.
    pub(crate) fn reason(&self) -> String {
        self.reason.lock().clone()
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        if self.stream.leave(self.id) {
            self.hub.changed.notify_one();
        }
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
