//! What the cache refuses.

use crate::{MAX_ENTRIES, MAX_VALUE};

/// The cache could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// There are too many live entries.
    #[error("cache is full: {MAX_ENTRIES} entries")]
    Full,
    /// The value is too long.
    #[error("a cached value has {0} bytes; at most {MAX_VALUE} are kept")]
    TooLong(usize),
    /// A lease was asked for with a number below one that was used: somebody else had it since.
    #[error("the lease's fencing number went back: {known} was used")]
    Fenced {
        /// The highest number known.
        known: u64,
    },
    /// `cache.url` can't be used.
    #[error("cache.url: {0}")]
    Url(String),
    /// Redis does not answer.
    #[error("Redis does not answer: {0}")]
    Unavailable(String),
}
