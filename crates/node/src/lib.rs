//! What a friend runs: carries a live stream from an edge to its viewers, over data channels.
//!
//! Owns the friend's side of helping: identity and invites, limits, the connection to each coordinator, pulling
//! and verifying segments, reports of what was delivered, the local page and the command line. Serving is
//! `peer`'s; who is served, and what, the coordinator decides.

mod app;
mod cli;
mod clock;
mod control;
mod doctor;
mod enrol;
mod error;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod invite;
mod limits;
mod memory;
mod net;
mod node;
mod pace;
mod page;
mod pull;
mod reports;
mod service;
mod settings;
mod verify;
mod window;

#[cfg(test)]
mod tests;

pub use cli::{Cli, run};
pub use error::Error;

/// Of the program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
