//! What a streamer must know of what arrives: bitrate, frame rate, GOP, drift. Pure.

use std::time::Duration;

use media::{CodecConfig, FrameRate, Sample, TrackKind};
use proto::coordinator::StreamHealth;
use types::{ByteCount, MediaTime};

/// Measures a stream between reports.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: ByteCount,
    frames: u32,
    gop_ms: u32,
    last_keyframe: Option<MediaTime>,
    last_video: Option<MediaTime>,
    last_audio: Option<MediaTime>,
    codecs: [Option<String>; 2],
    size: (u32, u32),
    /// As the publisher says, and as its video's headers do.
    declared: [Option<FrameRate>; 2],
    reordering: Reordering,
}

/// Whether frames are shown in another order than they are sent: then their composition offsets differ.
#[derive(Debug, Default)]
struct Reordering {
    /// The offset of the GOP's first frame.
    first: Option<MediaTime>,
    in_this_gop: bool,
    in_last_gop: bool,
}

impl Reordering {
    fn sample(&mut self, sample: &Sample) {
        if sample.keyframe {
            self.in_last_gop = std::mem::take(&mut self.in_this_gop);
            self.first = None;
        }
        let offset = sample.composition_offset;
        self.in_this_gop |= *self.first.get_or_insert(offset) != offset;
    }

    /// Steady over a GOP's first frames.
    fn seen(&self) -> bool {
        self.in_this_gop || self.in_last_gop
    }
}

impl Meter {
    /// Another publisher begins: what the last said does not hold for it.
    pub(crate) fn restart(&mut self) {
        self.declared = [None; 2];
        self.reordering = Reordering::default();
    }

    /// What the publisher says its frame rate is.
    pub(crate) fn declare_frame_rate(&mut self, rate: FrameRate) {
        self.declared[0] = Some(rate);
    }

    pub(crate) fn config(&mut self, config: &CodecConfig) {
        match config {
            CodecConfig::Video(video) => {
                self.codecs[0] = Some(video.codec_string.clone());
                self.size = (video.width, video.height);
                self.declared[1] = video.frame_rate;
            }
            CodecConfig::Audio(audio) => self.codecs[1] = Some(audio.codec_string.clone()),
        }
    }

    pub(crate) fn sample(&mut self, sample: &Sample) {
        self.bytes = self.bytes.saturating_add(sample.size().get());
        match sample.track {
            TrackKind::Audio => self.last_audio = Some(sample.decode_time),
            TrackKind::Video => {
                self.frames = self.frames.saturating_add(1);
                self.last_video = Some(sample.decode_time);
                self.reordering.sample(sample);
                if sample.keyframe {
                    if let Some(last) = self.last_keyframe {
                        let gop = sample.decode_time.saturating_sub(last).as_millis();
                        self.gop_ms = u32::try_from(gop).unwrap_or(0);
                    }
                    self.last_keyframe = Some(sample.decode_time);
                }
            }
        }
    }

    /// What happened in `span`, which starts over.
    pub(crate) fn report(&mut self, span: Duration, silent: Duration) -> StreamHealth {
        let millis = span.as_millis().max(1);
        let drift = match (self.last_audio, self.last_video) {
            (Some(audio), Some(video)) => audio.saturating_sub(video).as_millis(),
            _ => 0,
        };
        let frames = std::mem::take(&mut self.frames);
        let bytes = std::mem::take(&mut self.bytes);
        let codecs: Vec<&str> = self.codecs.iter().flatten().map(String::as_str).collect();
        StreamHealth {
            bitrate_bps: bytes.per(span).get(),
            frame_rate_millihertz: u32::try_from(u128::from(frames) * 1_000_000 / millis)
                .unwrap_or(u32::MAX),
            gop_ms: self.gop_ms,
            drift_ms: drift as i32,
            codecs: codecs.join(","),
            width: self.size.0,
            height: self.size.1,
            silent_ms: u32::try_from(silent.as_millis()).unwrap_or(u32::MAX),
            declared_frame_rate_millihertz: self
                .declared
                .iter()
                .flatten()
                .next()
                .map_or(0, |rate| (rate.as_f64() * 1000.0).round() as u32),
            b_frames: self.reordering.seen(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_second_of_video_is_measured() {
        let mut meter = Meter::default();
        for frame in 0..60 {
            meter.sample(&Sample {
                track: TrackKind::Video,
                decode_time: MediaTime::from_millis(frame * 1000 / 30),
                composition_offset: MediaTime::ZERO,
                keyframe: frame % 30 == 0,
                payload: Bytes::from_static(&[0; 1000]),
            });
        }
        let health = meter.report(Duration::from_secs(2), Duration::ZERO);
        assert_eq!(
            (
                health.bitrate_bps,
                health.frame_rate_millihertz,
                health.gop_ms
            ),
            (240_000, 30_000, 1000)
        );
        assert_eq!(
            meter
                .report(Duration::from_secs(1), Duration::ZERO)
                .bitrate_bps,
            0,
            "starts over"
        );
    }

    fn frame(offset_ms: i64, keyframe: bool) -> Sample {
        Sample {
            track: TrackKind::Video,
            decode_time: MediaTime::ZERO,
            composition_offset: MediaTime::from_millis(offset_ms),
            keyframe,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn b_frames_are_seen_by_their_offsets() {
        let b_frames = |meter: &mut Meter| {
            let health = meter.report(Duration::from_secs(1), Duration::ZERO);
            health.b_frames
        };
        let mut meter = Meter::default();
        for offset in [80, 80, 80] {
            meter.sample(&frame(offset, false));
        }
        assert!(!b_frames(&mut meter), "a constant delay is no reordering");
        for (offset, keyframe) in [(66, true), (166, false), (66, false), (0, false)] {
            meter.sample(&frame(offset, keyframe));
        }
        assert!(b_frames(&mut meter));
        meter.sample(&frame(66, true));
        assert!(b_frames(&mut meter), "the next GOP has only begun");
        for keyframe in [false, true, false] {
            meter.sample(&frame(66, keyframe));
        }
        assert!(!b_frames(&mut meter), "the encoder was set anew");
    }

    #[test]
    fn the_publishers_word_on_its_frame_rate_comes_before_the_headers() {
        let declared = |meter: &mut Meter| {
            let health = meter.report(Duration::from_secs(1), Duration::ZERO);
            health.declared_frame_rate_millihertz
        };
        let rate = |numerator, denominator| FrameRate {
            numerator,
            denominator,
        };
        let mut meter = Meter::default();
        assert_eq!(declared(&mut meter), 0);
        meter.declared[1] = Some(rate(30_000, 1001));
        assert_eq!(declared(&mut meter), 29_970);
        meter.declare_frame_rate(rate(60, 1));
        assert_eq!(declared(&mut meter), 60_000);
        meter.restart();
        assert_eq!(declared(&mut meter), 0);
    }
}
