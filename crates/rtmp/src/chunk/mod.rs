//! Chunks: messages cut in pieces and interleaved (RTMP 1.0 §5.3).
//!
//! Owns the chunk streams of a connection. Knows nothing of what messages mean but the two that concern it:
//! Set Chunk Size and Abort.

mod header;
mod reader;
mod writer;

pub use reader::Reader;
pub use writer::{serialize, serialize_message_shared, serialize_tag};

/// The chunk size of both sides until they set another (§5.4.1), in bytes.
pub const DEFAULT_CHUNK_SIZE: usize = 128;
/// The chunk size that our sessions announce and that play media is cut to, in bytes.
pub const PLAY_CHUNK_SIZE: usize = 60_000;

/// The chunk stream of protocol control messages (§5.4).
pub const CONTROL: u32 = 2;
/// The chunk stream of our commands.
pub const COMMAND: u32 = 3;
/// The chunk stream of our audio.
pub const AUDIO: u32 = 4;
/// The chunk stream of our data messages.
pub const DATA: u32 = 5;
/// The chunk stream of our video.
pub const VIDEO: u32 = 6;
/// The message stream of all media: we open one stream a connection.
pub const MEDIA_STREAM: u32 = 1;

/// The timestamp field of a header whose time follows in 32 bits (§5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;

#[cfg(test)]
mod tests;
