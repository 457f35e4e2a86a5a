//! What can be wrong with a peer's bytes. Every one of these ends the connection.

/// A fault that ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first byte is not an RTMP version we speak.
    #[error("handshake is not RTMP version 3")]
    Handshake,
    /// A chunk relies on an earlier one that never came (§5.3.1.2).
    #[error("chunk stream {chunk_stream} starts with a type {format} header")]
    NoPreviousHeader {
        /// The chunk stream id.
        chunk_stream: u32,
        /// The header type, 2 or 3.
        format: u8,
    },
    /// A peer exceeds a bound of [`crate::Limits`].
    #[error("{what} is {value}, more than the {max} allowed")]
    Limit {
        /// What is bounded, with its unit.
        what: &'static str,
        /// The value found.
        value: usize,
        /// The bound.
        max: usize,
    },
    /// A protocol message holds a value that can't stand there.
    #[error("{field} is {value}, which is invalid")]
    Invalid {
        /// The field, as its specification names it.
        field: &'static str,
        /// The value found.
        value: u32,
    },
    /// A protocol message or an AMF0 value ends inside a field.
    #[error("{field} is truncated")]
    Truncated {
        /// The field, as its specification names it.
        field: &'static str,
    },
    /// An AMF0 marker that we don't read (AMF0 §2.1).
    #[error("amf0 marker {marker} is not supported")]
    Amf0Marker {
        /// The marker.
        marker: u8,
    },
    /// A command without name or transaction id.
    #[error("command has no {field}")]
    Command {
        /// What is missing.
        field: &'static str,
    },
    /// Media that can't be served: a codec or a configuration that we don't carry.
    #[error("media")]
    Media(#[from] flv::Error),
    /// A command before `connect`, or media from a client whose publish has not started.
    #[error("the session is not ready for this")]
    NotReady,
}
