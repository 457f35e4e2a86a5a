//! Audio tag bodies (FLV 10.1 §E.4.2, Enhanced RTMP v2 `ExAudioTagHeader`), as they stand: no state.

use bytes::Bytes;
use media::AudioCodec;

use crate::{
    CodecId, Error,
    cursor::Cursor,
    multitrack::{pick_track, skip_modifiers},
};

/// An audio tag's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioTag {
    /// The codec's configuration.
    SequenceStart {
        /// The codec.
        codec: AudioCodec,
        /// AudioSpecificConfig or the Opus identification header.
        record: Bytes,
    },
    /// One coded frame.
    Frames {
        /// The codec.
        codec: AudioCodec,
        /// The frame; not empty.
        payload: Bytes,
    },
    /// Nothing for a muxer: end of sequence, channel layout, another track, an empty frame.
    Ignored,
}

/// `SoundFormat` of an enhanced header.
pub(crate) const EX_HEADER: u8 = 9;

/// `AudioPacketType` and, with the first two values, `AACPacketType`.
pub(crate) const SEQUENCE_START: u8 = 0;
pub(crate) const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
const MULTICHANNEL_CONFIG: u8 = 4;
const MULTITRACK: u8 = 5;

impl AudioTag {
    /// Reads a tag body. An empty one is [`AudioTag::Ignored`].
    pub fn parse(body: Bytes) -> Result<Self, Error> {
        let mut cursor = Cursor::new(body);
        if cursor.is_empty() {
            return Ok(Self::Ignored);
        }
        let first = cursor.u8("AudioTagHeader")?;
        let sound_format = first >> 4;
        if sound_format == EX_HEADER {
            return Self::parse_enhanced(cursor, first & 0x0f);
        }
        let codec = CodecId::Legacy(sound_format).audio()?;
        match cursor.u8("AACPacketType")? {
            SEQUENCE_START => Ok(Self::start(codec, cursor)),
            CODED_FRAMES => Ok(Self::frames(codec, cursor)),
            other => Err(Error::Invalid {
                field: "AACPacketType",
                value: u32::from(other),
            }),
        }
    }

    fn parse_enhanced(mut cursor: Cursor, packet_type: u8) -> Result<Self, Error> {
        let packet_type = skip_modifiers(&mut cursor, packet_type)?;
        let Some(track) = pick_track(cursor, packet_type, MULTITRACK)? else {
            return Ok(Self::Ignored);
        };
        match track.packet_type {
            SEQUENCE_START => Ok(Self::start(track.codec.audio()?, track.body)),
            CODED_FRAMES => Ok(Self::frames(track.codec.audio()?, track.body)),
            SEQUENCE_END | MULTICHANNEL_CONFIG => Ok(Self::Ignored),
            other => Err(Error::Invalid {
                field: "AudioPacketType",
                value: u32::from(other),
            }),
        }
    }

    fn start(codec: AudioCodec, body: Cursor) -> Self {
        Self::SequenceStart {
            codec,
            record: body.rest(),
        }
    }

    fn frames(codec: AudioCodec, body: Cursor) -> Self {
        if body.is_empty() {
            return Self::Ignored;
        }
        Self::Frames {
            codec,
            payload: body.rest(),
        }
    }
}
