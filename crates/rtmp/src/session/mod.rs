//! The two ends of an RTMP connection: [`Server`] and [`Client`].
//!
//! Owns handshake, control messages and commands (RTMP 1.0 §7), with the Enhanced RTMP v2 `connect` fields.
//! Feed received bytes to `receive`, then take events with `poll_event` and bytes to send with `take_output`.
//! One connection publishes or plays one stream, on message stream 1. Deadlines are the caller's.

mod client;
mod command;
mod event;
mod link;
mod media;
mod replies;
mod server;

pub use client::{Client, ClientConfig, ClientEvent, Role};
pub use event::{ConnectInfo, Event, RequestId};
pub use server::{Server, ServerConfig};
