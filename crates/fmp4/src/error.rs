//! What keeps an initialization segment from being written.

/// A configuration that no initialization segment can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither video nor audio was given.
    #[error("an initialization segment needs at least one track")]
    NoTrack,
    /// The configuration's record is not what its codec says.
    #[error("the {record} is malformed")]
    Record {
        /// The record's name.
        record: &'static str,
    },
}
