//! Fragmented MP4 (ISO 14496-12): initialization segments and fragments for HLS.
//!
//! One muxed rendition: video is track 1 at 90 kHz, audio track 2 at its sample rate. Pure: samples in,
//! bytes out. What belongs into which fragment is decided by `hls::Segmenter`; who keeps the bytes, by
//! `delivery`. Boxes are written by hand: configuration records are embedded as the publisher sent
//! them, and payloads are copied once, straight behind their `moof`.
//!
//! ```text
//! init          ftyp moov( mvhd trak(video) trak(audio) mvex( trex trex ) )
//! fragment      moof( mfhd traf(video: tfhd tfdt trun) traf(audio: tfhd tfdt trun) ) mdat
//! segment       fragment fragment ...   (one for each part)
//! ```
#![warn(clippy::indexing_slicing)]

mod boxes;
mod clock;
mod error;
mod fragment;
mod init;

pub use clock::TrackClock;
pub use error::Error;
pub use fragment::{FragmentSample, TrackRun, fragment};
pub use init::{AUDIO_TRACK_ID, VIDEO_TRACK_ID, init_segment};
