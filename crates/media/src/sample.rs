//! Samples: what flows from a publisher to every muxer.

use bytes::Bytes;
use types::{ByteCount, MediaTime};

use crate::CodecConfig;

/// Which of a stream's two tracks. A stream has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// One access unit: what a decoder takes in one call (ISO 14496-12 calls it a sample).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The track it belongs to.
    pub track: TrackKind,
    /// When to decode it, on the stream's timeline.
    pub decode_time: MediaTime,
    /// Presentation time minus decode time; zero without B-frames and for audio. May be negative.
    pub composition_offset: MediaTime,
    /// Whether decoding can start here. Always true for audio.
    pub keyframe: bool,
    /// The coded bytes. H.264 and H.265: NAL units with 4-byte (or as the configuration record says)
    /// length prefixes. AV1: low-overhead OBUs without temporal delimiter. AAC: one raw frame, no ADTS.
    /// Opus: one packet.
    pub payload: Bytes,
}

impl Sample {
    /// The coded size.
    pub fn size(&self) -> ByteCount {
        ByteCount::new(self.payload.len() as u64)
    }

    /// When to show or sound it.
    pub fn presentation_time(&self) -> MediaTime {
        self.decode_time.saturating_add(self.composition_offset)
    }
}

/// What a demuxer yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A track's configuration, before its first sample and whenever it changes.
    Config(CodecConfig),
    /// An access unit.
    Sample(Sample),
}
