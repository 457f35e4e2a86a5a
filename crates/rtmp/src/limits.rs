//! What one peer may make us hold.

/// Bounds on one connection; [`Limits::default`] is what the constants say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub message: usize,
    /// Bytes of one chunk, as a peer may set it.
    pub chunk_size: usize,
    /// Chunk streams a peer may open.
    pub chunk_streams: usize,
    /// Bytes of unfinished messages over all chunk streams.
    pub buffered: usize,
    /// Bytes received while neither publish nor play is accepted, handshake included.
    pub unaccepted: usize,
}

impl Limits {
    /// 8 MiB: a key frame of 4K video at lossless rates stays below.
    pub const MESSAGE: usize = 8 * 1024 * 1024;
    /// 64 KiB.
    pub const CHUNK_SIZE: usize = 64 * 1024;
    /// 64: encoders use three to eight.
    pub const CHUNK_STREAMS: usize = 64;
    /// 16 MiB.
    pub const BUFFERED: usize = 16 * 1024 * 1024;
    /// 64 KiB: handshake and commands take about 5 KiB.
    pub const UNACCEPTED: usize = 64 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: Self::MESSAGE,
            chunk_size: Self::CHUNK_SIZE,
            chunk_streams: Self::CHUNK_STREAMS,
            buffered: Self::BUFFERED,
            unaccepted: Self::UNACCEPTED,
        }
    }
}
