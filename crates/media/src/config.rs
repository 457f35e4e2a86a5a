//! Codec configurations: what a decoder must know before the first sample.

use bytes::Bytes;

use crate::{ConfigError, TrackKind, aac, av1, h264, h265, opus};

/// A video codec we carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264 / AVC (ISO 14496-10).
    H264,
    /// H.265 / HEVC (ISO 23008-2).
    H265,
    /// AV1.
    Av1,
}

/// An audio codec we carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC (ISO 14496-3), LC and HE.
    Aac,
    /// Opus (RFC 6716).
    Opus,
}

/// Frames per second as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameRate {
    /// Frames in [`Self::denominator`] seconds.
    pub numerator: u32,
    /// Seconds; not zero.
    pub denominator: u32,
}

impl FrameRate {
    /// Frames per second, for display and playlists.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator.max(1))
    }
}

/// A video track's configuration, parsed from its configuration record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    /// The codec.
    pub codec: VideoCodec,
    /// The record itself: `avcC`, `hvcC` or `av1C` box content.
    pub record: Bytes,
    /// Width of the picture shown, in pixels.
    pub width: u32,
    /// Height of the picture shown, in pixels.
    pub height: u32,
    /// The frame rate the stream declares, if it does.
    pub frame_rate: Option<FrameRate>,
    /// The `CODECS` entry, RFC 6381: `avc1.64001f`, `hvc1.1.6.L93.B0`, `av01.0.04M.08`.
    pub codec_string: String,
}

/// An audio track's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioConfig {
    /// The codec.
    pub codec: AudioCodec,
    /// AAC: the AudioSpecificConfig. Opus: the identification header (`OpusHead`, RFC 7845 §5.1).
    pub record: Bytes,
    /// Samples per second; 48000 for Opus.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
    /// The `CODECS` entry, RFC 6381: `mp4a.40.2`, `opus`.
    pub codec_string: String,
}

/// A track's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodecConfig {
    /// Of the video track.
    Video(VideoConfig),
    /// Of the audio track.
    Audio(AudioConfig),
}

impl CodecConfig {
    /// The video configuration, if it is one.
    pub fn as_video(&self) -> Option<&VideoConfig> {
        match self {
            Self::Video(video) => Some(video),
            Self::Audio(_) => None,
        }
    }

    /// The audio configuration, if it is one.
    pub fn as_audio(&self) -> Option<&AudioConfig> {
        match self {
            Self::Audio(audio) => Some(audio),
            Self::Video(_) => None,
        }
    }

    /// The track configured.
    pub fn track(&self) -> TrackKind {
        match self {
            Self::Video(_) => TrackKind::Video,
            Self::Audio(_) => TrackKind::Audio,
        }
    }
}

/// The largest record taken: parameter sets are hundreds of bytes, some encoders add text to them.
const MAX_RECORD: usize = 64 * 1024;

fn check_record(record: &'static str, bytes: &Bytes) -> Result<(), ConfigError> {
    if bytes.len() > MAX_RECORD {
        return Err(ConfigError::TooLarge {
            record,
            size: bytes.len(),
            max: MAX_RECORD,
        });
    }
    Ok(())
}

impl VideoConfig {
    /// Parses the configuration record of `codec`: AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3),
    /// HEVCDecoderConfigurationRecord (§8.3.3) or AV1CodecConfigurationRecord.
    pub fn parse(codec: VideoCodec, record: Bytes) -> Result<Self, ConfigError> {
        check_record("video configuration", &record)?;
        let picture = match codec {
            VideoCodec::H264 => h264::parse(&record)?,
            VideoCodec::H265 => h265::parse(&record)?,
            VideoCodec::Av1 => av1::parse(&record)?,
        };
        Ok(Self {
            codec,
            record,
            width: picture.width,
            height: picture.height,
            frame_rate: picture.frame_rate,
            codec_string: picture.codec_string,
        })
    }

    /// Bytes of the length before each NAL unit of a sample (1, 2 or 4); `None` for AV1, which has none.
    pub fn nal_length_size(&self) -> Option<u8> {
        match self.codec {
            VideoCodec::H264 => h264::nal_length_size(&self.record),
            VideoCodec::H265 => h265::nal_length_size(&self.record),
            VideoCodec::Av1 => None,
        }
    }
}

impl AudioConfig {
    /// Parses an AudioSpecificConfig (ISO 14496-3 §1.6.2.1) or an Opus identification header.
    ///
    /// Where SBR or PS are signalled explicitly, rate and channels are those of the sound they make.
    pub fn parse(codec: AudioCodec, record: Bytes) -> Result<Self, ConfigError> {
        check_record("audio configuration", &record)?;
        let (sample_rate, channels, codec_string) = match codec {
            AudioCodec::Aac => {
                let aac = aac::parse(&record)?;
                let codec_string = format!("mp4a.40.{}", aac.object_type);
                (aac.sample_rate, aac.channels, codec_string)
            }
            AudioCodec::Opus => (
                opus::SAMPLE_RATE,
                opus::parse(&record)?,
                String::from("opus"),
            ),
        };
        Ok(Self {
            codec,
            record,
            sample_rate,
            channels,
            codec_string,
        })
    }

    /// Samples (per channel, at [`Self::sample_rate`]) in each access unit; `None` for Opus, whose
    /// packets say it themselves ([`crate::opus_packet_samples`]).
    pub fn samples_per_frame(&self) -> Option<u32> {
        match self.codec {
            // The record parsed before, unless somebody filled the fields by hand.
            AudioCodec::Aac => {
                Some(aac::parse(&self.record).map_or(1024, |aac| aac.samples_per_frame))
            }
            AudioCodec::Opus => None,
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
