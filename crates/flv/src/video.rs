//! Video tag bodies (FLV 10.1 §E.4.3, Enhanced RTMP v2 `ExVideoTagHeader`), as they stand: no state.

use bytes::Bytes;
use media::VideoCodec;

use crate::{
    CodecId, Error,
    cursor::Cursor,
    multitrack::{pick_track, skip_modifiers},
};

/// A video tag's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoTag {
    /// The codec's configuration record.
    SequenceStart {
        /// The codec.
        codec: VideoCodec,
        /// The record: `avcC`, `hvcC` or `av1C`.
        record: Bytes,
    },
    /// Coded pictures.
    Frames {
        /// The codec.
        codec: VideoCodec,
        /// Whether decoding can start here.
        keyframe: bool,
        /// Presentation minus decode time, in milliseconds (signed 24 bits).
        composition_time: i32,
        /// The access unit; not empty.
        payload: Bytes,
    },
    /// Nothing for a muxer: end of sequence, commands, colour metadata, another track, an empty frame.
    Ignored,
}

/// `VideoFrameType`: a key frame.
pub(crate) const KEY_FRAME: u8 = 1;
/// `VideoFrameType`: an inter frame.
pub(crate) const INTER_FRAME: u8 = 2;
/// `VideoFrameType`: a key frame made by a server.
const GENERATED_KEY_FRAME: u8 = 4;
/// `VideoFrameType`: an info or command, no picture.
const COMMAND_FRAME: u8 = 5;

/// `VideoPacketType` and, with the first three values, `AVCPacketType`.
pub(crate) const SEQUENCE_START: u8 = 0;
pub(crate) const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
pub(crate) const CODED_FRAMES_X: u8 = 3;
const METADATA: u8 = 4;
const MULTITRACK: u8 = 6;

/// The flag of an enhanced header.
pub(crate) const EX_HEADER: u8 = 0x80;

impl VideoTag {
    /// Reads a tag body. An empty one is [`VideoTag::Ignored`].
    pub fn parse(body: Bytes) -> Result<Self, Error> {
        let mut cursor = Cursor::new(body);
        if cursor.is_empty() {
            return Ok(Self::Ignored);
        }
        let first = cursor.u8("VideoTagHeader")?;
        let frame_type = (first >> 4) & 0x07;
        if first & EX_HEADER != 0 {
            return Self::parse_enhanced(cursor, frame_type, first & 0x0f);
        }
        if frame_type == COMMAND_FRAME {
            return Ok(Self::Ignored);
        }
        let codec = CodecId::Legacy(first & 0x0f).video()?;
        let packet_type = cursor.u8("AVCPacketType")?;
        let composition_time = cursor.i24("CompositionTime")?;
        match packet_type {
            SEQUENCE_START => Ok(Self::start(codec, cursor)),
            CODED_FRAMES => Ok(Self::frames(codec, frame_type, composition_time, cursor)),
            SEQUENCE_END => Ok(Self::Ignored),
            other => Err(Error::Invalid {
                field: "AVCPacketType",
                value: u32::from(other),
            }),
        }
    }

    fn parse_enhanced(mut cursor: Cursor, frame_type: u8, packet_type: u8) -> Result<Self, Error> {
        let packet_type = skip_modifiers(&mut cursor, packet_type)?;
        if packet_type != METADATA && frame_type == COMMAND_FRAME {
            return Ok(Self::Ignored);
        }
        let Some(mut track) = pick_track(cursor, packet_type, MULTITRACK)? else {
            return Ok(Self::Ignored);
        };
        match track.packet_type {
            METADATA | SEQUENCE_END => Ok(Self::Ignored),
            SEQUENCE_START => Ok(Self::start(track.codec.video()?, track.body)),
            CODED_FRAMES => {
                let codec = track.codec.video()?;
                let composition_time = match codec {
                    VideoCodec::H264 | VideoCodec::H265 => {
                        track.body.i24("compositionTimeOffset")?
                    }
                    VideoCodec::Av1 => 0,
                };
                Ok(Self::frames(
                    codec,
                    frame_type,
                    composition_time,
                    track.body,
                ))
            }
            CODED_FRAMES_X => Ok(Self::frames(
                track.codec.video()?,
                frame_type,
                0,
                track.body,
            )),
            other => Err(Error::Invalid {
                field: "VideoPacketType",
                value: u32::from(other),
            }),
        }
    }

    fn start(codec: VideoCodec, body: Cursor) -> Self {
        Self::SequenceStart {
            codec,
            record: body.rest(),
        }
    }

    fn frames(codec: VideoCodec, frame_type: u8, composition_time: i32, body: Cursor) -> Self {
        if body.is_empty() {
            return Self::Ignored;
        }
        Self::Frames {
            codec,
            keyframe: frame_type == KEY_FRAME || frame_type == GENERATED_KEY_FRAME,
            composition_time,
            payload: body.rest(),
        }
    }
}

#[cfg(test)]
#[path = "video_tests.rs"]
mod tests;
