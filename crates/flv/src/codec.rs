//! How tags name codecs: a legacy 4-bit id or an Enhanced RTMP FourCC.

use std::fmt;

use media::{AudioCodec, TrackKind, VideoCodec};

use crate::Error;

/// A four-character code (Enhanced RTMP v2, `FourCc`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// H.264.
    pub const AVC: Self = Self(*b"avc1");
    /// H.265.
    pub const HEVC: Self = Self(*b"hvc1");
    /// AV1.
    pub const AV1: Self = Self(*b"av01");
    /// AAC.
    pub const AAC: Self = Self(*b"mp4a");
    /// Opus.
    pub const OPUS: Self = Self(*b"Opus");

    /// The code as a number, as `onMetaData` carries it.
    pub const fn as_u32(self) -> u32 {
        u32::from_be_bytes(self.0)
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

/// A codec as a tag names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodecId {
    /// `CodecID` or `SoundFormat` of the legacy tag header (FLV 10.1 §E.4.2.1, §E.4.3.1).
    Legacy(u8),
    /// The FourCC of an enhanced tag header.
    FourCc(FourCc),
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Legacy(id) => write!(f, "id {id}"),
            Self::FourCc(code) => fmt::Display::fmt(code, f),
        }
    }
}

/// `CodecID` 7.
pub(crate) const LEGACY_AVC: u8 = 7;
/// `CodecID` 12: not in any specification, but in wide use for HEVC before Enhanced RTMP.
pub(crate) const LEGACY_HEVC: u8 = 12;
/// `SoundFormat` 10.
pub(crate) const LEGACY_AAC: u8 = 10;

impl CodecId {
    pub(crate) fn video(self) -> Result<VideoCodec, Error> {
        match self {
            Self::Legacy(LEGACY_AVC) | Self::FourCc(FourCc::AVC) => Ok(VideoCodec::H264),
            Self::Legacy(LEGACY_HEVC) | Self::FourCc(FourCc::HEVC) => Ok(VideoCodec::H265),
            Self::FourCc(FourCc::AV1) => Ok(VideoCodec::Av1),
            codec => Err(Error::UnsupportedCodec {
                track: TrackKind::Video,
                codec,
            }),
        }
    }

    pub(crate) fn audio(self) -> Result<AudioCodec, Error> {
        match self {
            Self::Legacy(LEGACY_AAC) | Self::FourCc(FourCc::AAC) => Ok(AudioCodec::Aac),
            Self::FourCc(FourCc::OPUS) => Ok(AudioCodec::Opus),
            codec => Err(Error::UnsupportedCodec {
                track: TrackKind::Audio,
                codec,
            }),
        }
    }
}
