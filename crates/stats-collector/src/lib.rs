//! Who carried what: takes what coordinators tell of sessions, assignments, receipts and deliveries, finds out what
//! counts, and keeps sums of it.
//!
//! Owns when facts are reconciled and summed. By which rules is `economy`'s; how it is kept is `storage`'s. Nothing
//! here can be asked: who wants to know reads what it keeps, or hears `ContributionRecorded`.

mod config;
mod error;
mod events;
mod reconcile;
mod server;

pub use config::Settings;
pub use error::Error;
pub use server::{Server, embedded, ops};
