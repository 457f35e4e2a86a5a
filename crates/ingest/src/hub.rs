//! The hub: live streams and their fan-out. Knows samples and tracks, not protocols.

use std::{collections::HashMap, sync::Arc, time::Duration};

use media::{FrameRate, Packet};
use parking_lot::Mutex;
use proto::coordinator::{PublishState, StreamReport};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use types::{ByteCount, PublishId, Slug, StreamId};

use crate::Error;
pub use crate::{item::Item, live::LiveStream};

/// Who publishes what, as the coordinator authorized it.
#[derive(Debug, Clone)]
pub struct Authorized {
    /// The stream.
    pub stream: StreamId,
    /// Its name in URLs.
    pub slug: Slug,
    /// Names the publisher.
    pub publish: PublishId,
}

/// Why a publisher was cut off.
pub type Reason = Arc<Mutex<String>>;

/// All live streams of this ingest. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    streams: Arc<Mutex<HashMap<StreamId, Arc<LiveStream>>>>,
    /// Reports of streams that ended, until the coordinator has heard of them.
    ended: Arc<Mutex<Vec<StreamReport>>>,
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

    /// Cuts a stream's publisher off, unless it is `except`.
    pub fn revoke(&self, stream: StreamId, reason: &str, except: Option<PublishId>) {
        if let Some(stream) = self.by_id(stream) {
            stream.cut(reason, except);
        }
    }

    /// Ends a stream at once, without a grace period; its publisher is cut off.
    pub fn end(&self, stream: StreamId, reason: &str) {
        // Out of the map first: who publishes from now on starts another broadcast.
        let ended = self.streams.lock().remove(&stream);
        if let Some(stream) = ended {
            stream.cut(reason, None);
            self.ended(&stream);
        }
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
            self.ended(&stream);
        }
    }

    fn ended(&self, stream: &LiveStream) {
        stream.fanout().close();
        let mut report = stream.report();
        report.state = PublishState::Ended.into();
        self.ended.lock().push(report);
        self.changed.notify_one();
        tracing::info!(stream_id = %stream.id(), slug = %stream.slug(), "stream ended");
    }

    /// What to tell the coordinator, once a second.
    pub(crate) fn reports(&self) -> Vec<StreamReport> {
        let streams: Vec<_> = self.streams.lock().values().cloned().collect();
        let mut reports: Vec<_> = self.ended.lock().clone();
        reports.extend(streams.iter().map(|stream| stream.report()));
        reports
    }

    /// The coordinator has heard `reports`.
    pub(crate) fn reported(&self, reports: &[StreamReport]) {
        let told = |ended: &StreamReport| {
            reports
                .iter()
                .any(|report| report.publish_id == ended.publish_id && report.state == ended.state)
        };
        self.ended.lock().retain(|ended| !told(ended));
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
