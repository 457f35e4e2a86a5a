//! The hub: live streams and their fan-out. Knows samples and tracks, not protocols.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use delivery::fanout::{Bounds, Entry, Fanout};
use media::{CodecConfig, Packet, Sample, TrackKind};
use parking_lot::Mutex;
use proto::coordinator::{PublishState, StreamHealth, StreamReport};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use types::{ByteCount, MediaTime, PublishId, Slug, StreamId};

pub use crate::item::Item;
use crate::{Error, health::Meter, timeline::Timeline};

/// A publisher that sent nothing for so long is dead when another comes (design §2).
const SILENCE: Duration = Duration::from_secs(3);
/// History behind the current GOP, in media time.
const HISTORY: MediaTime = MediaTime::from_millis(10_000);

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

#[derive(Debug)]
struct Publisher {
    id: PublishId,
    cut: CancellationToken,
    reason: Reason,
    heard: Instant,
}

#[derive(Debug)]
struct State {
    timeline: Timeline,
    meter: Meter,
    metered: Instant,
    publisher: Option<Publisher>,
    /// Names the stream's publisher, also after it left.
    publish: PublishId,
    /// Since when there is no publisher.
    paused: Option<Instant>,
    video: Option<CodecConfig>,
    audio: Option<CodecConfig>,
    /// The next video sample must be a keyframe.
    needs_keyframe: bool,
    unix_ms_at_zero: i64,
}

/// A live stream.
#[derive(Debug)]
pub struct LiveStream {
    id: StreamId,
    slug: Slug,
    fanout: Fanout<Item>,
    state: Mutex<State>,
}

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

fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as i64)
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
            .find(|stream| stream.slug == *slug)
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
        let cut = CancellationToken::new();
        let reason = Reason::default();
        {
            let mut state = stream.state.lock();
            if let Some(publisher) = &state.publisher {
                if publisher.heard.elapsed() < SILENCE {
                    return Err(Error::Busy(authorized.stream));
                }
                publisher.cut("another publisher took over");
            }
            state.timeline.restart();
            // The tracks are this publisher's to say: it may come without the video of the last.
            (state.video, state.audio) = (None, None);
            state.publish = authorized.publish;
            state.paused = None;
            state.needs_keyframe = true;
            state.publisher = Some(Publisher {
                id: authorized.publish,
                cut: cut.clone(),
                reason: Arc::clone(&reason),
                heard: Instant::now(),
            });
        }
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
            let state = stream.state.lock();
            if let Some(publisher) = state
                .publisher
                .as_ref()
                .filter(|publisher| Some(publisher.id) != except)
            {
                publisher.cut(reason);
            }
        }
    }

    /// Ends streams that waited longer than `grace` for their publisher.
    pub(crate) fn end_expired(&self, grace: Duration) {
        let mut streams = self.streams.lock();
        let expired: Vec<_> = streams
            .values()
            .filter(|stream| {
                stream
                    .state
                    .lock()
                    .paused
                    .is_some_and(|since| since.elapsed() >= grace)
            })
            .cloned()
            .collect();
        for stream in expired {
            streams.remove(&stream.id);
            stream.fanout.close();
            let mut report = stream.report();
            report.state = PublishState::Ended.into();
            self.ended.lock().push(report);
            self.changed.notify_one();
            tracing::info!(stream_id = %stream.id, slug = %stream.slug, "stream ended");
        }
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

impl Publisher {
    fn cut(&self, reason: &str) {
        reason.clone_into(&mut self.reason.lock());
        self.cut.cancel();
    }
}

impl LiveStream {
    fn new(authorized: &Authorized, queue: ByteCount) -> Self {
        Self {
            id: authorized.stream,
            slug: authorized.slug.clone(),
            fanout: Fanout::new(
                "hub",
                Bounds {
                    bytes: queue,
                    time: HISTORY,
                },
            ),
            state: Mutex::new(State {
                timeline: Timeline::default(),
                meter: Meter::default(),
                metered: Instant::now(),
                publisher: None,
                publish: authorized.publish,
                paused: None,
                video: None,
                audio: None,
                needs_keyframe: true,
                unix_ms_at_zero: unix_ms(),
            }),
        }
    }

    /// Its fan-out.
    pub fn fanout(&self) -> &Fanout<Item> {
        &self.fanout
    }

    /// Its id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Unix time in milliseconds at zero of its timeline.
    pub fn unix_ms_at_zero(&self) -> i64 {
        self.state.lock().unix_ms_at_zero
    }

    fn report(&self) -> StreamReport {
        let mut state = self.state.lock();
        let now = Instant::now();
        let span = now.duration_since(std::mem::replace(&mut state.metered, now));
        let silent = state
            .publisher
            .as_ref()
            .map_or(Duration::ZERO, |publisher| publisher.heard.elapsed());
        let health: StreamHealth = state.meter.report(span, silent);
        let live = state.publisher.is_some();
        StreamReport {
            stream_id: self.id.to_string(),
            publish_id: state.publish.to_string(),
            state: if live {
                PublishState::Live
            } else {
                PublishState::Paused
            }
            .into(),
            health: Some(health),
        }
    }

    fn push(&self, item: Item, join: bool, time: MediaTime) {
        let size = item.size();
        self.fanout.push(Entry {
            value: item,
            size,
            join,
            time,
        });
    }

    /// Takes what the publisher sent.
    fn packet(&self, packet: Packet) {
        let mut state = self.state.lock();
        if let Some(publisher) = &mut state.publisher {
            publisher.heard = Instant::now();
        }
        match packet {
            Packet::Config(config) => self.config(&mut state, config),
            Packet::Sample(sample) => self.sample(&mut state, sample),
        }
    }

    fn config(&self, state: &mut State, config: CodecConfig) {
        state.meter.config(&config);
        let slot = match config.track() {
            TrackKind::Video => &mut state.video,
            TrackKind::Audio => &mut state.audio,
        };
        if slot.as_ref() == Some(&config) {
            return;
        }
        *slot = Some(config.clone());
        self.set_preamble(state);
        self.push(
            Item::Config(config),
            false,
            MediaTime::from_millis(state.timeline.last_ms()),
        );
    }

    fn set_preamble(&self, state: &State) {
        let configs = [&state.video, &state.audio];
        self.fanout.set_preamble(
            configs
                .into_iter()
                .flatten()
                .cloned()
                .map(Item::Config)
                .collect(),
        );
    }

    fn sample(&self, state: &mut State, mut sample: Sample) {
        let video = sample.track == TrackKind::Video;
        if state.needs_keyframe && state.video.is_some() {
            // Nothing can be shown, and no timeline begins, before a keyframe.
            if !(video && sample.keyframe) {
                return;
            }
            state.needs_keyframe = false;
        }
        let first = !state.timeline.has_begun();
        let placed = state.timeline.place(sample.decode_time.as_millis());
        sample.decode_time = MediaTime::from_millis(placed.stream_ms);
        if first {
            state.unix_ms_at_zero = unix_ms();
        }
        if placed.discontinuity {
            metrics::counter!("streamr_discontinuities_total").increment(1);
            state.unix_ms_at_zero = unix_ms().saturating_sub(placed.stream_ms);
            // The GOP before the break is nothing to start with.
            self.set_preamble(state);
            self.push(
                Item::Discontinuity(state.unix_ms_at_zero),
                false,
                sample.decode_time,
            );
        }
        state.meter.sample(&sample);
        let join = sample.keyframe && (video || state.video.is_none());
        let time = sample.decode_time;
        self.push(Item::Sample(sample), join, time);
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
        let mut state = self.stream.state.lock();
        if state
            .publisher
            .as_ref()
            .is_some_and(|publisher| publisher.id == self.id)
        {
            state.publisher = None;
            state.paused = Some(Instant::now());
            let time = MediaTime::from_millis(state.timeline.last_ms());
            self.stream.push(Item::Paused, false, time);
            self.hub.changed.notify_one();
        }
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
