//! A stream's tracks: their configurations, initialization segment, clocks and description.

use bytes::Bytes;
use fmp4::{TrackClock, TrackRun};
use hls::PartCut;
use media::{AudioConfig, CodecConfig, FrameRate, TrackKind, VideoConfig};
use types::MediaTime;

use crate::Error;

/// The tracks of an epoch.
#[derive(Debug)]
pub(super) struct Tracks {
    pub(super) video: Option<VideoConfig>,
    pub(super) audio: Option<AudioConfig>,
    video_clock: Option<TrackClock>,
    audio_clock: Option<TrackClock>,
    /// The stream's time that is tick zero of both clocks.
    origin: MediaTime,
}

impl Tracks {
    pub(super) fn new(
        video: Option<VideoConfig>,
        audio: Option<AudioConfig>,
        origin: MediaTime,
    ) -> Self {
        let mut tracks = Self {
            video,
            audio,
            video_clock: None,
            audio_clock: None,
            origin,
        };
        tracks.restart_clocks(origin);
        tracks
    }

    /// The track that cuts.
    pub(super) fn lead(&self) -> TrackKind {
        if self.video.is_some() {
            TrackKind::Video
        } else {
            TrackKind::Audio
        }
    }

    fn restart_clocks(&mut self, origin: MediaTime) {
        self.origin = origin;
        self.video_clock = self.video.is_some().then(|| TrackClock::video(origin));
        self.audio_clock = self
            .audio
            .as_ref()
            .map(|audio| TrackClock::audio(audio, origin));
    }

    /// The timeline starts over at `next`: places it behind everything placed so far.
    pub(super) fn start_over(&mut self, next: MediaTime) {
        let end = [&self.video_clock, &self.audio_clock]
            .into_iter()
            .flatten()
            .map(|clock| MediaTime::new(clock.end().cast_signed(), clock.timescale()).as_millis())
            .max()
            .unwrap_or(0);
        // A frame later, in whole milliseconds, so that both clocks keep the same zero.
        self.restart_clocks(next.saturating_sub(MediaTime::from_millis(end.saturating_add(40))));
    }

    pub(super) fn init_segment(&self) -> Result<Bytes, Error> {
        Ok(fmp4::init_segment(
            self.video.as_ref(),
            self.audio.as_ref(),
        )?)
    }

    /// A part's samples on their tracks.
    pub(super) fn place(&mut self, part: &PartCut) -> Vec<TrackRun> {
        let end = part.start.saturating_add(part.duration);
        let mut runs = Vec::with_capacity(2);
        if let Some(clock) = &mut self.video_clock {
            runs.push(clock.place(&part.video, end));
        }
        if let Some(clock) = &mut self.audio_clock {
            runs.push(clock.place(&part.audio, end));
        }
        runs
    }

    pub(super) fn codecs(&self) -> Vec<String> {
        let video = self.video.as_ref().map(|video| video.codec_string.clone());
        let audio = self.audio.as_ref().map(|audio| audio.codec_string.clone());
        video.into_iter().chain(audio).collect()
    }

    pub(super) fn resolution(&self) -> Option<(u32, u32)> {
        self.video.as_ref().map(|video| (video.width, video.height))
    }

    /// The frame rate: as measured where it was, rounded to a thousandth.
    pub(super) fn frame_rate(&self) -> Option<FrameRate> {
        self.video.as_ref()?.frame_rate
    }

    /// What a new configuration means for what is packaged.
    pub(super) fn change(&self, config: &CodecConfig) -> Change {
        match config {
            CodecConfig::Video(new) => match &self.video {
                Some(old) if old == new => Change::None,
                Some(old)
                    if old.codec_string == new.codec_string
                        && (old.width, old.height, old.frame_rate)
                            == (new.width, new.height, new.frame_rate) =>
                {
                    Change::Init
                }
                _ => Change::Epoch,
            },
            CodecConfig::Audio(new) => match &self.audio {
                Some(old) if old == new => Change::None,
                Some(old)
                    if old.codec_string == new.codec_string
                        && (old.sample_rate, old.channels) == (new.sample_rate, new.channels) =>
                {
                    Change::Init
                }
                _ => Change::Epoch,
            },
        }
    }

    /// Takes a configuration that needs no new epoch.
    pub(super) fn set(&mut self, config: CodecConfig) {
        match config {
            CodecConfig::Video(video) => self.video = Some(video),
            CodecConfig::Audio(audio) => self.audio = Some(audio),
        }
    }
}

/// What a new configuration means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is the one in use.
    None,
    /// Another initialization segment.
    Init,
    /// `CODECS` or `RESOLUTION` change, which an epoch has fixed: another epoch.
    Epoch,
}
