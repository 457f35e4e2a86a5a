//! What is worth having fast and may be lost: leases, presence, rate limits, sessions.
//!
//! Owns nothing that must survive: fencing numbers are counted in the database, and so are keys. Two
//! adapters, picked by a URL's scheme: this process's memory (`memory:`), or Redis (`redis://`,
//! `rediss://`), which several replicas share. One Redis: no cluster.
//!
//! **While Redis is away**, every call is answered from this process's memory, and costs nothing: after a
//! failure Redis is left alone for half a second. Rate limits are then counted by each process for itself.
//! Leases, presence and values are kept in memory as well as in Redis, and every service reports to every
//! coordinator: each coordinator's memory is a view of the whole. What a key's fencing number was is kept
//! on both sides, so a Redis that forgot everything is told again, and no number goes back.
//!
//! Every map is bounded by the lifetime of its entries and by [`MAX_ENTRIES`]; one value by [`MAX_VALUE`].

mod cache;
mod error;
mod leases;
mod memory;
mod redis;

pub use cache::Cache;
pub use error::CacheError;
pub use leases::Lease;
pub use memory::{Hits, MAX_ENTRIES, MAX_VALUE};
