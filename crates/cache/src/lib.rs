//! What is worth having fast and may be lost: leases, presence, rate limits.
//!
//! Owns nothing that must survive: fencing numbers and keys are in the database. Every map is bounded
//! by the lifetime of its entries and by [`MAX_ENTRIES`].

mod memory;

pub use memory::{Cache, CacheError, Hits, Lease, MAX_ENTRIES};
