//! The ingest: takes streams from publishers and hands their samples on.
//!
//! Owns RTMP(S) publish and play, and the [`hub`]: live streams, their timeline, GOP cache and fan-out,
//! the grace period. Serves samples to packagers by gRPC `Subscribe`. Who may publish or watch is the
//! coordinator's to say; segments and playlists are the packager's.

mod config;
mod connection;
mod error;
mod grpc;
mod health;
pub mod hub;
mod item;
mod live;
mod play;
mod publish;
mod relay;
mod report;
mod rights;
mod server;
mod timeline;

pub use config::Settings;
pub use error::Error;
pub use server::{Server, ops};
