//! The coordinator: who has an account, what streams there are, who may publish and watch, who packages,
//! and what the world may know.
//!
//! Owns accounts, the streams' lifecycle, stream keys, playback tokens, settings and flags, the audit log,
//! the service registry and the origin lease; serves the
//! internal gRPC (port 9000) and the public REST API and pages (port 8000). No media passes through it.
//! Other services are met only through `proto`.

mod access;
mod accounts;
mod bootstrap;
mod config;
mod error;
mod events;
mod feeds;
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod health;
mod history;
mod housekeeping;
mod keeper;
mod keys;
mod lifecycle;
mod live;
mod origins;
mod pages;
mod publish;
mod registry;
mod rest;
mod server;
mod settings;
mod stream_history;
mod swarm;

pub use accounts::{SetupLink, bootstrap_owner, owner_reset_link, setup_link};
pub use bootstrap::{FirstStream, bootstrap};
pub use config::{Settings, data_folder};
pub use error::Error;
pub use keys::{KeyError, KeyRing, StreamKey};
pub use server::{Server, ops};
