//! What can go wrong with the database.

use sea_orm::{DbErr, SqlErr};
use types::{InvalidTransition, Slug, StreamId};

/// The database refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Not a URL we have an adapter for.
    #[error("database.url must start with \"sqlite:\" or \"postgres:\"")]
    Scheme,
    /// No stream has this id.
    #[error("no stream {0}")]
    NoStream(StreamId),
    /// The slug is taken.
    #[error("a stream named {0} exists already")]
    SlugTaken(Slug),
    /// The stream key is in use.
    #[error("this stream key is in use; take another")]
    KeyTaken,
    /// The lifecycle forbids the move.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
    /// A row doesn't hold what we wrote.
    #[error("{table}.{column} holds an unreadable value")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The database itself.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl StorageError {
    /// Whether the database refused because the row exists.
    pub(crate) fn is_unique_violation(error: &DbErr) -> bool {
        matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
    }
}
