//! One live stream: its publisher, its tracks and timeline, and what it passes on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use delivery::fanout::{Bounds, Entry, Fanout};
use media::{CodecConfig, FrameRate, Packet, Sample, TrackKind};
use parking_lot::Mutex;
use proto::{
    coordinator::{PublishState, StreamHealth, StreamReport},
    cut::Spared,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::{ByteCount, MediaTime, PublishId, Slug, StreamId};

use crate::{
    Error,
    health::Meter,
    hub::{Authorized, Item, Reason},
    timeline::Timeline,
};

/// A publisher that sent nothing for so long is dead when another comes (design §2).
pub(crate) const SILENCE: Duration = Duration::from_secs(3);
/// History behind the current GOP, in media time.
const HISTORY: MediaTime = MediaTime::from_millis(10_000);

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
    /// When the broadcast began elsewhere, Unix time in milliseconds; `None`: it begins here.
    began_unix_ms: Option<i64>,
    /// Another ingest holds it now: who reads it here goes there.
    moved: bool,
}

/// A live stream.
#[derive(Debug)]
pub struct LiveStream {
    id: StreamId,
    slug: Slug,
    /// The `traceparent` of its first publisher.
    trace_parent: String,
    fanout: Fanout<Item>,
    state: Mutex<State>,
}

fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as i64)
}

impl Publisher {
    /// Cuts it off, once, whoever else wants it gone.
    fn cut(&self, stream: StreamId, reason: &str) {
        if self.cut.is_cancelled() {
            return;
        }
        metrics::counter!("streamr_publishers_cut_total", "reason" => proto::cut::label(reason))
            .increment(1);
        tracing::info!(stream_id = %stream, publish_id = %self.id, reason, "publisher cut off");
        reason.clone_into(&mut self.reason.lock());
        self.cut.cancel();
    }
}

impl LiveStream {
    pub(crate) fn new(authorized: &Authorized, queue: ByteCount) -> Self {
        Self {
            id: authorized.stream,
            slug: authorized.slug.clone(),
            trace_parent: authorized.trace_parent.clone(),
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
                began_unix_ms: authorized.began_unix_ms,
                moved: false,
            }),
        }
    }

    /// Its fan-out.
    pub fn fanout(&self) -> &Fanout<Item> {
        &self.fanout
    }

    /// Its name in URLs.
    pub fn slug(&self) -> &Slug {
        &self.slug
    }

    /// A publisher begins, or takes over from one that fell silent. Refused while there is one that is
    /// alive.
    pub(crate) fn begin(
        &self,
        id: PublishId,
        cut: CancellationToken,
        reason: Reason,
    ) -> Result<(), Error> {
        let mut state = self.state.lock();
        if state.moved {
            return Err(Error::Busy(self.id));
        }
        if let Some(publisher) = &state.publisher {
            if publisher.heard.elapsed() < SILENCE {
                return Err(Error::Busy(self.id));
            }
            publisher.cut(self.id, proto::cut::REPLACED);
        }
        state.timeline.restart();
        // The tracks are this publisher's to say: it may come without the video of the last.
        (state.video, state.audio) = (None, None);
        state.meter.restart();
        state.publish = id;
        state.paused = None;
        state.needs_keyframe = true;
        state.publisher = Some(Publisher {
            id,
            cut,
            reason,
            heard: Instant::now(),
        });
        Ok(())
    }

    /// Cuts the publisher off, unless it is spared.
    pub(crate) fn cut(&self, reason: &str, spared: Spared) {
        let state = self.state.lock();
        if let Some(publisher) = &state.publisher
            && !spared.spares(publisher.id)
        {
            publisher.cut(self.id, reason);
        }
    }

    /// The publisher is gone; `false` if another has taken over.
    pub(crate) fn leave(&self, id: PublishId) -> bool {
        let mut state = self.state.lock();
        if state.publisher.as_ref().is_none_or(|now| now.id != id) {
            return false;
        }
        state.publisher = None;
        state.paused = Some(Instant::now());
        let time = MediaTime::from_millis(state.timeline.last_ms());
        self.push(Item::Paused, false, time);
        true
    }

    /// Whether it has had no publisher for `grace`.
    pub(crate) fn has_waited(&self, grace: Duration) -> bool {
        let paused = self.state.lock().paused;
        paused.is_some_and(|since| since.elapsed() >= grace)
    }

    /// Says that another ingest holds it now; `false` while it has a publisher here.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.state.lock();
        state.moved |= state.publisher.is_none();
        state.moved
    }

    /// Whether another ingest holds it now.
    pub(crate) fn has_moved(&self) -> bool {
        self.state.lock().moved
    }

    /// Its id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Unix time in milliseconds at zero of its timeline.
    pub fn unix_ms_at_zero(&self) -> i64 {
        self.state.lock().unix_ms_at_zero
    }

    /// What to tell the coordinator.
    pub(crate) fn report(&self) -> StreamReport {
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
            trace_parent: self.trace_parent.clone(),
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

    /// Takes what the publisher says its frame rate is.
    pub(crate) fn declare_frame_rate(&self, rate: FrameRate) {
        self.state.lock().meter.declare_frame_rate(rate);
    }

    /// Takes what the publisher sent.
    pub(crate) fn packet(&self, packet: Packet) {
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
        if first && let Some(began) = state.began_unix_ms {
            state.timeline.begin_at(unix_ms().saturating_sub(began));
        }
        let placed = state.timeline.place(sample.decode_time.as_millis());
        sample.decode_time = MediaTime::from_millis(placed.stream_ms);
        if first {
            state.unix_ms_at_zero = unix_ms().saturating_sub(placed.stream_ms);
        }
        if placed.discontinuity {
            metrics::counter!("streamr_discontinuities_total").increment(1);
            tracing::debug!(stream_id = %self.id, "timeline mended after a break");
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
