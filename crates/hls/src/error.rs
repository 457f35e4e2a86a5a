//! What can be wrong with a player's query.

/// A query that deserves `400 Bad Request` (RFC 8216bis §6.2.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A delivery directive holds what it can't.
    #[error("{directive} is not a valid value")]
    Value {
        /// The directive's name, such as `_HLS_msn`.
        directive: &'static str,
    },
    /// A delivery directive is there twice.
    #[error("{directive} is given twice")]
    Duplicate {
        /// The directive's name.
        directive: &'static str,
    },
    /// `_HLS_part` without the `_HLS_msn` it belongs to.
    #[error("_HLS_part needs _HLS_msn")]
    PartWithoutMsn,
}
