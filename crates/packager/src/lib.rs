//! The packager: origin cuts streams into segments, edge serves viewers.
//!
//! The *origin* subscribes to the ingest that holds a stream, cuts segments and parts, signs digests,
//! and holds the stream's lease. The *edge* answers viewers through `delivery`, from the origin beside
//! it or from another one's window, which it follows once however many watch, and has ffmpeg make their
//! thumbnails. Which stream is where is
//! the coordinator's to say; samples come from ingest alone.

mod catalog;
mod config;
mod edge;
mod error;
mod grpc;
mod heart;
mod origin;
mod registry;
mod server;
mod thumbnails;
mod wire;

pub use config::Settings;
pub use error::Error;
pub use server::{Server, ops};
