//! What a stream is made of: tracks, codec configurations and samples (access units).
//!
//! Owns the vocabulary of the media path and the parsers of codec headers (H.264, H.265, AV1, AAC,
//! Opus). Pure: bytes in, values out. Knows no container (`flv`, `fmp4`), no protocol (`rtmp`, `hls`)
//! and no service.
#![warn(clippy::indexing_slicing)]

mod aac;
mod av1;
mod bits;
mod config;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod h264;
mod h265;
mod opus;
mod picture;
mod sample;

pub use config::{AudioCodec, AudioConfig, CodecConfig, FrameRate, VideoCodec, VideoConfig};
pub use error::ConfigError;
pub use opus::opus_packet_samples;
pub use sample::{Packet, Sample, TrackKind};
