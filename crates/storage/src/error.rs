//! What can go wrong with the database.

use sea_orm::{DbErr, SqlErr};
use types::{InvalidTransition, Slug, StreamId, UserId};

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
    /// The stream was changed since it was read.
    #[error("stream {0} was changed meanwhile; read it again")]
    Changed(StreamId),
    /// The stream can't be deleted now.
    #[error("{0} is on air; end it first")]
    OnAir(Slug),
    /// No user has this id.
    #[error("no user {0}")]
    NoUser(UserId),
    /// The address has an account.
    #[error("this e-mail address has an account already")]
    EmailTaken,
    /// Somebody must be able to run the server.
    #[error("this is the last admin; make somebody else one first")]
    LastAdmin,
    /// TOTP is asked for already.
    #[error("two-factor log-in is on already; turn it off first")]
    TotpEnabled,
    /// A bound is reached.
    #[error("there are {most} {what} already, which is the most there may be; delete some first")]
    TooMany {
        /// Of these.
        what: &'static str,
        /// So many.
        most: u64,
    },
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
