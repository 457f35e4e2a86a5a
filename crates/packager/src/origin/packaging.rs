//! An epoch's packaging: items in, window events out. Pure of I/O and clocks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use delivery::{DigestKey, EpochInfo, WindowEvent};
use hls::{Cut, PartCut, SegmentCut, Segmenter, SegmenterOptions};
use media::{CodecConfig, Sample};
use types::{Bitrate, ByteCount, Epoch, MediaTime, StreamId};

use super::{
    lease::Grant,
    tracks::{Change, Tracks},
};
use crate::Error;

/// A stream that has shown only one track for so long has only one.
const ONE_TRACK_AFTER: MediaTime = MediaTime::from_millis(1000);
/// Samples kept while the tracks are being learnt.
const MAX_LEARNING: usize = 2048;
/// `BANDWIDTH` over what was measured first: segments vary.
const PEAK_PERCENT: u64 = 150;

/// What an epoch can't go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Goes on.
    Continue,
    /// The codecs changed: another epoch must package what follows.
    NewEpoch,
}

/// Packages one epoch.
pub(crate) struct Packaging {
    stream: StreamId,
    grant: Grant,
    key: Arc<DigestKey>,
    unix_ms_at_zero: i64,
    /// What is known of the tracks before the first sample is packaged.
    learnt: (Option<CodecConfig>, Option<CodecConfig>),
    learning: Vec<Sample>,
    tracks: Option<Tracks>,
    segmenter: Option<Segmenter>,
    generation: u32,
    fragments: u32,
    discontinuity_sequence: u64,
    /// The next segment comes after a break that the segmenter doesn't know of.
    broken: bool,
    open: Vec<Bytes>,
    /// Events that wait for the epoch to be opened.
    waiting: Vec<WindowEvent>,
    opened: bool,
    out: Vec<WindowEvent>,
    /// The timeline started over; the next sample says where.
    starts_over: bool,
}

impl Packaging {
    pub(crate) fn new(stream: StreamId, grant: Grant, key: Arc<DigestKey>) -> Self {
        Self {
            stream,
            key,
            unix_ms_at_zero: 0,
            learnt: (None, None),
            learning: Vec::new(),
            tracks: None,
            segmenter: None,
            generation: 0,
            fragments: 0,
            discontinuity_sequence: grant.discontinuity_sequence,
            // What a broadcast's earlier epoch left can't be continued seamlessly.
            broken: grant.target_duration.is_some(),
            open: Vec::new(),
            waiting: Vec::new(),
            opened: false,
            out: Vec::new(),
            starts_over: false,
            grant,
        }
    }

    /// What the epoch fixed, once it is opened.
    pub(crate) fn fixed(&self) -> Option<(u32, MediaTime)> {
        let segmenter = self.segmenter.as_ref().filter(|_| self.opened)?;
        Some((segmenter.target_duration()?, segmenter.part_target()?))
    }

    /// The epoch.
    pub(crate) fn epoch(&self) -> Epoch {
        self.grant.epoch
    }

    /// The events since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<WindowEvent> {
        std::mem::take(&mut self.out)
    }

    /// A subscription begins; its timeline may be the known one or another.
    pub(crate) fn opening(&mut self, unix_ms_at_zero: i64) {
        if self.segmenter.is_some() && unix_ms_at_zero != self.unix_ms_at_zero {
            self.break_off();
            self.starts_over = true;
        }
        self.unix_ms_at_zero = unix_ms_at_zero;
    }

    /// The timeline goes on, the content doesn't.
    pub(crate) fn discontinuity(&mut self, unix_ms_at_zero: i64) {
        self.break_off();
        self.unix_ms_at_zero = unix_ms_at_zero;
    }

    fn break_off(&mut self) {
        if let Some(segmenter) = &mut self.segmenter {
            let cuts = segmenter.discontinuity();
            self.apply(cuts);
        }
    }

    /// A track's configuration.
    pub(crate) fn config(&mut self, config: CodecConfig) -> Result<Flow, Error> {
        let Some(tracks) = &mut self.tracks else {
            match config {
                CodecConfig::Video(_) => self.learnt.0 = Some(config),
                CodecConfig::Audio(_) => self.learnt.1 = Some(config),
            }
            return Ok(Flow::Continue);
        };
        match tracks.change(&config) {
            Change::None => Ok(Flow::Continue),
            Change::Epoch => {
                self.finish();
                Ok(Flow::NewEpoch)
            }
            Change::Init => {
                tracks.set(config);
                self.break_off();
                self.generation += 1;
                self.emit_init()?;
                Ok(Flow::Continue)
            }
        }
    }

    fn emit_init(&mut self) -> Result<(), Error> {
        if let Some(tracks) = &self.tracks {
            let data = tracks.init_segment()?;
            self.emit(WindowEvent::Init {
                generation: self.generation,
                data,
            });
        }
        Ok(())
    }

    /// An access unit.
    pub(crate) fn sample(&mut self, sample: Sample) -> Result<(), Error> {
        if self.segmenter.is_none() {
            self.learning.push(sample);
            if self.has_learnt() {
                self.start()?;
            }
            return Ok(());
        }
        self.cut(sample);
        Ok(())
    }

    fn cut(&mut self, sample: Sample) {
        if std::mem::take(&mut self.starts_over)
            && let Some(tracks) = &mut self.tracks
        {
            tracks.start_over(sample.decode_time);
        }
        let Some(segmenter) = &mut self.segmenter else {
            return;
        };
        let cuts = segmenter.push(sample);
        self.apply(cuts);
    }

    fn has_learnt(&self) -> bool {
        let (Some(first), Some(last)) = (self.learning.first(), self.learning.last()) else {
            return false;
        };
        let span = last.decode_time.saturating_sub(first.decode_time);
        let both = self.learnt.0.is_some() && self.learnt.1.is_some();
        both || span >= ONE_TRACK_AFTER || self.learning.len() >= MAX_LEARNING
    }

    fn start(&mut self) -> Result<(), Error> {
        let video = self
            .learnt
            .0
            .as_ref()
            .and_then(CodecConfig::as_video)
            .cloned();
        let audio = self
            .learnt
            .1
            .as_ref()
            .and_then(CodecConfig::as_audio)
            .cloned();
        let tracks = Tracks::new(video, audio, MediaTime::ZERO);
        self.segmenter = Some(Segmenter::new(SegmenterOptions {
            start_msn: self.grant.first_msn,
            lead: tracks.lead(),
            frame_rate: tracks.frame_rate(),
            target_duration: self.grant.target_duration,
        }));
        self.tracks = Some(tracks);
        self.emit_init()?;
        for sample in std::mem::take(&mut self.learning) {
            self.cut(sample);
        }
        Ok(())
    }

    fn emit(&mut self, event: WindowEvent) {
        if self.opened {
            self.out.push(event)
        } else {
            self.waiting.push(event)
        }
    }

    fn apply(&mut self, cuts: Vec<Cut>) {
        for cut in cuts {
            match cut {
                Cut::Part(part) => self.part(&part),
                Cut::Segment(segment) => self.segment(&segment),
            }
            self.open_epoch();
        }
    }

    fn part(&mut self, part: &PartCut) {
        let Some(tracks) = &mut self.tracks else {
            return;
        };
        let runs = tracks.place(part);
        self.fragments = self.fragments.wrapping_add(1);
        let data = fmp4::fragment(self.fragments, &runs);
        if part.index.get() == 0 {
            let discontinuity = part.discontinuity || std::mem::take(&mut self.broken);
            self.discontinuity_sequence += u64::from(discontinuity);
            self.open.clear();
            self.emit(WindowEvent::SegmentOpened {
                msn: part.msn,
                init: self.generation,
                program_date_time_ms: self.unix_ms_at_zero.saturating_add(part.start.as_millis()),
                discontinuity,
                discontinuity_sequence: self.discontinuity_sequence,
            });
        }
        self.open.push(data.clone());
        self.emit(WindowEvent::Part {
            msn: part.msn,
            index: part.index,
            duration: part.duration,
            independent: part.independent,
            data,
        });
    }

    fn segment(&mut self, segment: &SegmentCut) {
        let pieces: Vec<&[u8]> = self.open.iter().map(AsRef::as_ref).collect();
        let digest = self
            .key
            .digest(self.stream, self.grant.epoch, segment.msn, &pieces);
        self.open.clear();
        self.emit(WindowEvent::SegmentClosed {
            msn: segment.msn,
            duration: segment.duration,
            digest,
        });
    }

    /// Opens the epoch as soon as its target duration is fixed: after the first segment, or at once when
    /// an earlier epoch fixed it.
    fn open_epoch(&mut self) {
        if self.opened {
            return;
        }
        let (Some(segmenter), Some(tracks)) = (&self.segmenter, &self.tracks) else {
            return;
        };
        let (Some(target_duration), Some(part_target)) =
            (segmenter.target_duration(), segmenter.part_target())
        else {
            return;
        };
        let average = self.measured();
        let bandwidth = Bitrate::new(average.get().saturating_mul(PEAK_PERCENT) / 100);
        self.out.push(WindowEvent::EpochOpened(EpochInfo {
            epoch: self.grant.epoch,
            first_msn: self.grant.first_msn,
            target_duration,
            part_target,
            codecs: tracks.codecs(),
            resolution: tracks.resolution(),
            frame_rate: tracks.frame_rate(),
            bandwidth,
            average_bandwidth: average,
        }));
        self.out.append(&mut self.waiting);
        self.opened = true;
    }

    /// The bitrate of the parts cut so far.
    fn measured(&self) -> Bitrate {
        let mut bytes = ByteCount::ZERO;
        let mut span = Duration::ZERO;
        for event in &self.waiting {
            if let WindowEvent::Part { duration, data, .. } = event {
                bytes = bytes.saturating_add(data.len() as u64);
                span += duration.to_duration();
            }
        }
        bytes.per(span)
    }

    /// Completes what is in progress.
    pub(crate) fn finish(&mut self) {
        if let Some(segmenter) = &mut self.segmenter {
            let cuts = segmenter.finish();
            self.apply(cuts);
        }
    }
}
