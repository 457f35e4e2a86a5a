//! FLV tags, which are also the bodies of RTMP audio and video messages (Adobe FLV 10.1 annex E,
//! Enhanced RTMP v2).
//!
//! Owns the way from tag bodies to [`media::Packet`] ([`Demuxer`]) and back ([`Muxer`]), the FLV file
//! framing ([`Reader`], [`file_header`], [`Tag::write`]) and the `onMetaData` script. Sans-IO: bytes in, values
//! out. Knows no chunks and no sessions (`rtmp`) and parses no codec record itself (`media`).
#![warn(clippy::indexing_slicing)]

mod audio;
mod codec;
mod cursor;
mod demux;
mod error;
mod multitrack;
mod mux;
mod reader;
mod script;
mod tag;
mod video;

#[doc(hidden)]
pub mod fuzzing;

pub use audio::AudioTag;
pub use codec::{CodecId, FourCc};
pub use demux::Demuxer;
pub use error::Error;
pub use mux::{BodyHeader, Muxer, Tag};
pub use reader::{RawTag, Reader};
pub use script::metadata;
pub use tag::{FILE_HEADER_SIZE, MAX_TAG_SIZE, TAG_HEADER_SIZE, TagKind, file_header, tag_header};
pub use video::VideoTag;
