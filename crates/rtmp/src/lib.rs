//! RTMP 1.0 with Enhanced RTMP v2, sans-IO: bytes in, events and bytes out.
//!
//! Owns the chunk layer ([`chunk`]), AMF0 ([`amf0`]), timestamps ([`time`]) and the two ends of a connection
//! ([`session::Server`], [`session::Client`]). The handshake is `rml_rtmp`'s; its chunk reader and AMF0 are
//! not used, as they panic on legal input. Media bodies are `flv`'s. No socket, no clock, no log: the caller
//! owns deadlines and decides who may publish.
#![warn(clippy::indexing_slicing)]

pub mod amf0;
pub mod chunk;
mod error;
mod handshake;
mod limits;
mod message;
pub mod session;
pub mod time;

#[doc(hidden)]
pub mod fuzzing;

pub use error::Error;
pub use limits::Limits;
pub use message::{Message, MessageHeader, message_type};
