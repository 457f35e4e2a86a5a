//! Cutting a stream into segments and parts.
//!
//! ```text
//! video   K  .  .  .  .  .  K  .  .  .  .  .  K      K: keyframe
//! parts   |-----|-----|--|-----|-----|--|-----       a whole number of frames, near 1/3 s
//! segment |--------------|--------------|-----       from keyframe to keyframe, 2 s or more
//! audio   a a a a a a a a a a a a a a a a a a        cut where the video is, by decode time
//! ```
//!
//! One track *leads*: the video, or the audio where there is no video. A leading sample lasts until the
//! next one, so it is held back until that arrives; nothing else is ever waited for. Audio that arrives
//! after its part was cut goes into the next one.

use std::collections::VecDeque;

use media::{FrameRate, Sample, TrackKind};
use types::{MediaTime, Msn, PartIndex, Timescale};

use pacing::Pacing;

mod pacing;

/// Ticks a second of all arithmetic here.
const SECOND: i64 = 90_000;
/// Segments are cut at the first keyframe after this, less half a frame for rounded times.
const SEGMENT_TARGET: i64 = 2 * SECOND;
/// Bounds of `TARGETDURATION`, in seconds.
const TARGET_DURATION: (i64, i64) = (2, 10);
/// What a duration may have beyond a whole number of seconds and still round down (RFC 8216bis
/// §4.4.3.1), with room for the rounding of what is printed.
const ROUNDS_DOWN: i64 = SECOND / 2 - SECOND / 1000;
/// A leading sample that lasts longer is no sample but a gap: the timeline breaks.
const MAX_SAMPLE: i64 = 2 * SECOND;
/// Leading samples are watched for this long before the first part is cut, to learn the frame rate.
const WARM_UP: i64 = SECOND / 2;
/// Audio kept while the video stands still: some ten seconds. Then the oldest goes.
const MAX_WAITING_AUDIO: usize = 512;

/// What a segmenter must know before the first sample.
#[derive(Debug, Clone, Copy)]
pub struct SegmenterOptions {
    /// The first segment's media sequence number.
    pub start_msn: Msn,
    /// The video where there is one, else the audio: the track that cuts.
    pub lead: TrackKind,
    /// The frame rate that the video declares. It only sharpens what is measured.
    pub frame_rate: Option<FrameRate>,
    /// `TARGETDURATION` in seconds, where the stream has one already: an origin that takes over keeps it,
    /// for a playlist's must not change.
    pub target_duration: Option<u32>,
}

/// A part, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartCut {
    /// The segment it belongs to.
    pub msn: Msn,
    /// Its index there.
    pub index: PartIndex,
    /// Whether its segment comes after a discontinuity.
    pub discontinuity: bool,
    /// Whether it starts with a keyframe.
    pub independent: bool,
    /// Decode time of its first leading sample.
    pub start: MediaTime,
    /// Its duration. `start + duration` is where its last leading sample ends.
    pub duration: MediaTime,
    /// Its pictures, in decode order.
    pub video: Vec<Sample>,
    /// Its sound.
    pub audio: Vec<Sample>,
}

/// A segment, complete: all its parts were cut before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentCut {
    /// Its media sequence number.
    pub msn: Msn,
    /// Decode time of its first leading sample.
    pub start: MediaTime,
    /// The sum of its parts.
    pub duration: MediaTime,
    /// Whether it starts with a keyframe.
    pub independent: bool,
    /// Whether it comes after a discontinuity.
    pub discontinuity: bool,
    /// How many parts it has.
    pub parts: u32,
}

/// What a segmenter has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// A part is complete.
    Part(PartCut),
    /// The segment of the last part is complete.
    Segment(SegmentCut),
}

/// A segment in progress.
#[derive(Debug)]
struct OpenSegment {
    start: i64,
    duration: i64,
    independent: bool,
    parts: u32,
}

/// A part in progress.
#[derive(Debug)]
struct OpenPart {
    start: i64,
    duration: i64,
    independent: bool,
    samples: Vec<Sample>,
}

/// Cuts one epoch of a stream. Pure: feed it samples in the order of arrival, use what it returns.
///
/// The first segment may last up to 10 s; until it is complete there is no
/// [`Self::target_duration`] and so no playlist, but parts are cut from the start.
#[derive(Debug)]
pub struct Segmenter {
    options: SegmenterOptions,
    /// `None` while warming up.
    pacing: Option<Pacing>,
    /// Everything since the first keyframe, while warming up.
    warm_up: Vec<Sample>,
    target_duration: Option<i64>,
    /// Waiting for a leading keyframe: at the start and after a discontinuity.
    waiting: bool,
    msn: Msn,
    discontinuity: bool,
    segment: Option<OpenSegment>,
    part: Option<OpenPart>,
    /// The newest leading sample, whose duration is not known yet.
    held: Option<Sample>,
    last_duration: i64,
    /// When the last keyframe was.
    last_keyframe: Option<i64>,
    /// Samples of the other track that no part has taken yet.
    others: VecDeque<Sample>,
    cuts: Vec<Cut>,
}

impl Segmenter {
    /// A segmenter at the start of an epoch.
    pub fn new(options: SegmenterOptions) -> Self {
        Self {
            options,
            pacing: None,
            warm_up: Vec::new(),
            target_duration: options.target_duration.map(i64::from),
            waiting: true,
            msn: options.start_msn,
            discontinuity: false,
            segment: None,
            part: None,
            held: None,
            last_duration: 0,
            last_keyframe: None,
            others: VecDeque::new(),
            cuts: Vec::new(),
        }
    }

    /// `TARGETDURATION` in seconds, fixed when the first segment is complete.
    pub fn target_duration(&self) -> Option<u32> {
        self.target_duration.map(|seconds| seconds as u32)
    }

    /// `PART-TARGET`, fixed before the first part is cut. No part is longer, unless a single frame is.
    pub fn part_target(&self) -> Option<MediaTime> {
        self.pacing.as_ref().map(|pacing| time(pacing.part_target))
    }

    /// The media sequence number of the segment in progress, or of the next.
    pub fn msn(&self) -> Msn {
        self.msn
    }

    /// Takes a sample. At the start, what comes before the first leading keyframe is dropped.
    pub fn push(&mut self, sample: Sample) -> Vec<Cut> {
        if self.waiting && !self.starts_with(&sample) {
            if sample.track != self.options.lead {
                self.wait_other(sample);
            }
            return Vec::new();
        }
        if self.pacing.is_some() {
            self.accept(sample);
        } else {
            self.warm(sample);
        }
        std::mem::take(&mut self.cuts)
    }

    /// The timeline or the encoding breaks here: completes the segment in progress. What follows starts
    /// at a keyframe, in a segment marked as discontinuous.
    pub fn discontinuity(&mut self) -> Vec<Cut> {
        let cuts = self.finish();
        // Before anything was cut there is nothing to be discontinuous with.
        self.discontinuity |= self.msn != self.options.start_msn;
        cuts
    }

    /// Completes what is in progress; the last sample lasts as long as the one before it.
    pub fn finish(&mut self) -> Vec<Cut> {
        self.end_warm_up();
        if let Some(held) = self.held.take() {
            let duration = self.usual_duration();
            self.add(held, duration);
        }
        self.take_all_others();
        self.close_segment();
        self.others.clear();
        self.waiting = true;
        self.last_keyframe = None;
        std::mem::take(&mut self.cuts)
    }

    /// Whether `sample` ends the wait for a keyframe; if so, drops the sound before it.
    fn starts_with(&mut self, sample: &Sample) -> bool {
        if sample.track != self.options.lead || !sample.keyframe {
            return false;
        }
        self.waiting = false;
        self.others
            .retain(|other| other.decode_time >= sample.decode_time);
        true
    }

    fn wait_other(&mut self, sample: Sample) {
        if self.others.len() >= MAX_WAITING_AUDIO {
            self.others.pop_front();
        }
        self.others.push_back(sample);
    }

    /// Collects samples until the frame rate can be told, then lets them all through.
    fn warm(&mut self, sample: Sample) {
        let start = self
            .warm_up
            .first()
            .map_or(0, |first| ticks(first.decode_time));
        let lead = sample.track == self.options.lead;
        let elapsed = ticks(sample.decode_time).saturating_sub(start);
        let enough = !self.warm_up.is_empty() && lead && !(0..WARM_UP).contains(&elapsed);
        self.warm_up.push(sample);
        if enough || self.warm_up.len() >= MAX_WAITING_AUDIO {
            self.end_warm_up();
        }
    }

    fn end_warm_up(&mut self) {
        if self.pacing.is_some() || self.warm_up.is_empty() {
            return;
        }
        let collected = std::mem::take(&mut self.warm_up);
        let lead = collected.iter().filter(|s| s.track == self.options.lead);
        let times: Vec<_> = lead.map(|sample| ticks(sample.decode_time)).collect();
        self.pacing = Some(Pacing::learn(&times, self.options.frame_rate));
        for sample in collected {
            self.accept(sample);
        }
    }

    fn accept(&mut self, sample: Sample) {
        if sample.track != self.options.lead {
            self.wait_other(sample);
            return;
        }
        let now = ticks(sample.decode_time);
        if let Some(held) = self.held.take() {
            let duration = now.saturating_sub(ticks(held.decode_time));
            if (0..=MAX_SAMPLE).contains(&duration) {
                self.add(held, duration);
                self.cut_before(&sample, now);
            } else {
                self.break_before(held, &sample);
            }
        }
        if sample.keyframe {
            self.last_keyframe = Some(now);
        }
        self.held = Some(sample);
    }

    /// Adds a leading sample, after cutting what would get too long by it.
    fn add(&mut self, sample: Sample, duration: i64) {
        let start = ticks(sample.decode_time);
        let longest = self.target_duration.unwrap_or(TARGET_DURATION.1) * SECOND + ROUNDS_DOWN;
        let too_long = |so_far: i64, limit: i64| so_far > 0 && so_far + duration > limit;
        if self
            .segment
            .as_ref()
            .is_some_and(|s| too_long(s.duration, longest))
        {
            self.close_segment();
        }
        let part_target = self.pacing.as_ref().map_or(i64::MAX, |p| p.part_target);
        if self
            .part
            .as_ref()
            .is_some_and(|p| too_long(p.duration, part_target))
        {
            self.close_part();
        }
        let segment = self.segment.get_or_insert(OpenSegment {
            start,
            duration: 0,
            independent: sample.keyframe,
            parts: 0,
        });
        let part = self.part.get_or_insert_with(|| OpenPart {
            start,
            duration: 0,
            independent: sample.keyframe,
            samples: Vec::with_capacity(32),
        });
        segment.duration += duration;
        part.duration += duration;
        part.samples.push(sample);
        if duration > 0 {
            self.last_duration = duration;
        }
    }

    /// Cuts where `next` begins, if a segment or a part is due.
    fn cut_before(&mut self, next: &Sample, now: i64) {
        if next.keyframe && self.segment_is_due(now) {
            self.close_segment();
            return;
        }
        let enough = self.pacing.as_ref().map_or(i64::MAX, |p| p.part_enough);
        if self
            .part
            .as_ref()
            .is_some_and(|part| part.duration >= enough)
        {
            self.close_part();
        }
    }

    /// Whether the keyframe at `now` starts a segment.
    fn segment_is_due(&self, now: i64) -> bool {
        let Some(segment) = &self.segment else {
            return false;
        };
        let gop = self.last_keyframe.map_or(0, |last| now - last);
        // A segment that was cut without a keyframe is to be over soon: viewers join at keyframes.
        !segment.independent
            || segment.duration >= SEGMENT_TARGET - self.usual_duration() / 2
            // Another GOP like this one wouldn't fit; better a short segment than a cut without keyframe.
            || self.target_duration.is_some_and(|target| {
                segment.duration.saturating_add(gop) > target * SECOND + ROUNDS_DOWN
            })
    }

    /// A gap or a step back in time: the segment ends with what was there, and `next` starts another.
    fn break_before(&mut self, held: Sample, next: &Sample) {
        let back = next.decode_time < held.decode_time;
        let duration = self.usual_duration();
        self.add(held, duration);
        if back {
            self.take_all_others();
        }
        self.close_segment();
        // Sound that ran on while the picture stood still has no place on either side.
        self.others
            .retain(|other| other.decode_time >= next.decode_time);
        self.discontinuity = true;
        self.last_keyframe = None;
    }

    /// Puts all waiting samples of the other track into the part in progress.
    fn take_all_others(&mut self) {
        if let Some(part) = &mut self.part {
            part.samples.extend(self.others.drain(..));
        }
    }

    fn usual_duration(&self) -> i64 {
        if self.last_duration > 0 {
            return self.last_duration;
        }
        self.pacing.as_ref().map_or(0, |pacing| pacing.frame)
    }

    fn close_part(&mut self) {
        let (Some(part), Some(segment)) = (self.part.take(), &mut self.segment) else {
            return;
        };
        let end = time(part.start.saturating_add(part.duration));
        let mut samples = part.samples;
        // Up to the last that is due, whatever is before it: one wrong time must not block the queue.
        let due = self
            .others
            .iter()
            .rposition(|other| other.decode_time < end);
        samples.extend(self.others.drain(..due.map_or(0, |last| last + 1)));
        let index = PartIndex::new(segment.parts);
        segment.parts += 1;
        let (video, audio) = samples
            .into_iter()
            .partition(|sample| sample.track == TrackKind::Video);
        self.cuts.push(Cut::Part(PartCut {
            msn: self.msn,
            index,
            discontinuity: self.discontinuity,
            independent: part.independent,
            start: time(part.start),
            duration: time(part.duration),
            video,
            audio,
        }));
    }

    fn close_segment(&mut self) {
        self.close_part();
        let Some(segment) = self.segment.take() else {
            return;
        };
        self.target_duration.get_or_insert_with(|| {
            // Rounded up from x.4 on: the next GOP may be a little longer by the jitter of its times,
            // and must then not be cut one frame before its end.
            let seconds = (segment.duration + SECOND * 6 / 10) / SECOND;
            seconds.clamp(TARGET_DURATION.0, TARGET_DURATION.1)
        });
        self.cuts.push(Cut::Segment(SegmentCut {
            msn: self.msn,
            start: time(segment.start),
            duration: time(segment.duration),
            independent: segment.independent,
            discontinuity: self.discontinuity,
            parts: segment.parts,
        }));
        self.msn = self.msn.next();
        self.discontinuity = false;
    }
}

fn ticks(time: MediaTime) -> i64 {
    // Far from the ends of i64, so that sums of absurd times don't overflow.
    time.rescale(Timescale::VIDEO)
        .clamp(i64::MIN / 8, i64::MAX / 8)
}

const fn time(ticks: i64) -> MediaTime {
    MediaTime::new(ticks, Timescale::VIDEO)
}
