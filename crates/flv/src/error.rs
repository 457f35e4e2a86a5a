//! What can be wrong with FLV bytes, and which faults end a session.

use media::TrackKind;

use crate::CodecId;

/// A fault in an FLV tag or file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tag ends inside a field.
    #[error("tag is truncated in {field}")]
    Truncated {
        /// The field, as its specification names it.
        field: &'static str,
    },
    /// A field holds a value that its specification doesn't define or that can't stand there.
    #[error("{field} is {value}, which is invalid or unsupported")]
    Invalid {
        /// The field, as its specification names it.
        field: &'static str,
        /// The value found.
        value: u32,
    },
    /// A codec that we don't carry.
    #[error("{track:?} codec {codec} is not supported")]
    UnsupportedCodec {
        /// The track.
        track: TrackKind,
        /// The codec as the tag names it.
        codec: CodecId,
    },
    /// A sample whose codec has not been configured yet: late joiners see some, they are no loss.
    #[error("{track:?} sample before its codec configuration")]
    BeforeConfig {
        /// The track.
        track: TrackKind,
    },
    /// The codec configuration can't be used.
    #[error("codec configuration")]
    Config(#[from] media::ConfigError),
    /// The bytes are no FLV file.
    #[error("file signature is not FLV version 1")]
    Signature,
    /// More bytes than we take.
    #[error("{field} is {size} bytes, more than the {max} allowed")]
    TooLarge {
        /// What is too large.
        field: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        max: usize,
    },
}

impl Error {
    /// Whether the publisher can't be served at all: a codec or configuration we don't carry, or a lost
    /// framing. The other faults cost one tag: count them and go on.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::UnsupportedCodec { .. }
            | Self::Config(_)
            | Self::Signature
            | Self::TooLarge { .. } => true,
            Self::Truncated { .. } | Self::Invalid { .. } | Self::BeforeConfig { .. } => false,
        }
    }
}
