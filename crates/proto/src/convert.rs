//! Between the wire's messages and our types.

use media::{
    AudioCodec, AudioConfig, CodecConfig, ConfigError, Sample, TrackKind, VideoCodec, VideoConfig,
};
use types::MediaTime;

use crate::media as wire;

/// A message that doesn't say what it must.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A field is missing or holds no value of its kind.
    #[error("{field} is missing or malformed")]
    Field {
        /// The field's name in the `.proto`.
        field: &'static str,
    },
    /// A codec configuration that doesn't parse.
    #[error("codec configuration: {0}")]
    Config(#[from] ConfigError),
}

impl From<ConvertError> for tonic::Status {
    fn from(error: ConvertError) -> Self {
        crate::ErrorCode::InvalidArgument.status(error.to_string())
    }
}

/// Parses an id or another text field, naming the field when it is wrong.
pub fn field<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, ConvertError> {
    text.parse().map_err(|_| ConvertError::Field { field })
}

impl From<&CodecConfig> for wire::Config {
    fn from(config: &CodecConfig) -> Self {
        let (codec, record) = match config {
            CodecConfig::Video(video) => {
                let codec = match video.codec {
                    VideoCodec::H264 => wire::Codec::H264,
                    VideoCodec::H265 => wire::Codec::H265,
                    VideoCodec::Av1 => wire::Codec::Av1,
                };
                (codec, video.record.clone())
            }
            CodecConfig::Audio(audio) => {
                let codec = match audio.codec {
                    AudioCodec::Aac => wire::Codec::Aac,
                    AudioCodec::Opus => wire::Codec::Opus,
                };
                (codec, audio.record.clone())
            }
        };
        Self {
            codec: codec.into(),
            record,
        }
    }
}

impl TryFrom<wire::Config> for CodecConfig {
    type Error = ConvertError;

    fn try_from(config: wire::Config) -> Result<Self, ConvertError> {
        let video = |codec, record| VideoConfig::parse(codec, record).map(Self::Video);
        let audio = |codec, record| AudioConfig::parse(codec, record).map(Self::Audio);
        let parsed = match config.codec() {
            wire::Codec::H264 => video(VideoCodec::H264, config.record),
            wire::Codec::H265 => video(VideoCodec::H265, config.record),
            wire::Codec::Av1 => video(VideoCodec::Av1, config.record),
            wire::Codec::Aac => audio(AudioCodec::Aac, config.record),
            wire::Codec::Opus => audio(AudioCodec::Opus, config.record),
            wire::Codec::Unspecified => return Err(ConvertError::Field { field: "codec" }),
        };
        Ok(parsed?)
    }
}

impl From<&Sample> for wire::Sample {
    fn from(sample: &Sample) -> Self {
        let track = match sample.track {
            TrackKind::Video => wire::Track::Video,
            TrackKind::Audio => wire::Track::Audio,
        };
        Self {
            track: track.into(),
            decode_time_ms: sample.decode_time.as_millis(),
            composition_offset_ms: sample.composition_offset.as_millis() as i32,
            keyframe: sample.keyframe,
            payload: sample.payload.clone(),
        }
    }
}

impl TryFrom<wire::Sample> for Sample {
    type Error = ConvertError;

    fn try_from(sample: wire::Sample) -> Result<Self, ConvertError> {
        let track = match sample.track() {
            wire::Track::Video => TrackKind::Video,
            wire::Track::Audio => TrackKind::Audio,
            wire::Track::Unspecified => return Err(ConvertError::Field { field: "track" }),
        };
        Ok(Self {
            track,
            decode_time: MediaTime::from_millis(sample.decode_time_ms),
            composition_offset: MediaTime::from_millis(i64::from(sample.composition_offset_ms)),
            keyframe: sample.keyframe,
            payload: sample.payload,
        })
    }
}
