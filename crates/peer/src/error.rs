//! Why something can't be done.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use p2p::commands;

/// The port can't be had.
#[derive(Debug, thiserror::Error)]
#[error("listen on UDP {address}: {source}")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Why a link is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// As many links as allowed are there.
    #[error("all {0} links are taken")]
    Full(usize),
    /// A link of this name is there.
    #[error("link is there already")]
    Twice,
    /// No link of this name waits for an answer.
    #[error("no such link waits for an answer")]
    Unknown,
    /// The session description is too long.
    #[error("session description of {0} bytes is too long")]
    TooLong(usize),
    /// The session description can't be used.
    #[error("session description is not usable: {0}")]
    Sdp(String),
    /// The peer is stopping.
    #[error("peer is stopping")]
    Stopping,
}

/// Why a segment was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No open link of this name.
    #[error("link is not open")]
    NotOpen,
    /// The link is fetching another one.
    #[error("link is busy")]
    Busy,
    /// The other end doesn't have it.
    #[error("peer does not have the segment")]
    Absent,
    /// It did not come in time.
    #[error("segment did not come in time, {} bytes of it did", received.len())]
    Late {
        /// What came of it, from its beginning: the rest may be had elsewhere.
        received: Bytes,
    },
    /// What came is not what was announced.
    #[error(transparent)]
    Transfer(#[from] commands::TransferError),
    /// The link closed meanwhile.
    #[error("link closed")]
    Closed,
}
