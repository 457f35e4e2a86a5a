//! What browsers and friends' nodes say to one another, as bytes: the WebTorrent tracker's messages,
//! STUN binding, and the commands of p2p-media-loader.
//!
//! Pure: bytes and text in, words out, and back. Nothing here opens a socket, waits or looks at a clock.
//! The coordinator speaks [`tracker`] and answers [`stun`]; `peer` speaks what goes through data channels.
//! Everything that comes from outside is bounded before anything is kept of it.
#![warn(clippy::indexing_slicing)]

pub mod commands;
#[doc(hidden)]
pub mod fuzzing;
pub mod stun;
pub mod tracker;
