//! Where served segments come from.

use bytes::Bytes;
use types::{Msn, StreamId};

/// What of a stream can be had now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Segments that can be served. Few: a window of a live stream.
    pub loaded: Vec<Msn>,
    /// Segments on their way: viewers that can wait, wait for them.
    pub loading: Vec<Msn>,
}

/// What a peer serves from. Asked in the middle of the peer's work: it answers from memory, at once.
pub trait Source: Send + Sync + 'static {
    /// A whole segment.
    fn segment(&self, stream: StreamId, msn: Msn) -> Option<Bytes>;

    /// What there is. Who changes it calls [`Peer::changed`](crate::Peer::changed).
    fn inventory(&self, stream: StreamId) -> Inventory;
}

/// Nothing to serve: for peers that only fetch.
impl Source for () {
    fn segment(&self, _: StreamId, _: Msn) -> Option<Bytes> {
        None
    }

    fn inventory(&self, _: StreamId) -> Inventory {
        Inventory::default()
    }
}
