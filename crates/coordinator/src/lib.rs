//! The coordinator: what streams there are, who may publish, who packages, and what the world may know.
//!
//! Owns the streams' lifecycle, stream keys, the service registry and the origin lease; serves the
//! internal gRPC (port 9000) and the public REST API and pages (port 8000). No media passes through it.
//! Other services are met only through `proto`.

mod bootstrap;
mod config;
mod error;
mod events;
mod grpc;
mod keys;
mod lifecycle;
mod live;
mod origins;
mod pages;
mod publish;
mod registry;
mod rest;
mod server;

pub use bootstrap::{FirstStream, bootstrap};
pub use config::{Settings, data_folder, database_url};
pub use error::Error;
pub use keys::{KeyError, KeyRing, StreamKey};
pub use server::{Server, ops};
