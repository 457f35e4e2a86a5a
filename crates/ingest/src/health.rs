//! What a streamer must know of what arrives: bitrate, frame rate, GOP, drift. Pure.

use std::time::Duration;

use media::{CodecConfig, Sample, TrackKind};
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
}

impl Meter {
    pub(crate) fn config(&mut self, config: &CodecConfig) {
        match config {
            CodecConfig::Video(video) => {
                self.codecs[0] = Some(video.codec_string.clone());
                self.size = (video.width, video.height);
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
            ..StreamHealth::default()
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
}
