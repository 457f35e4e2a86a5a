//! What can go wrong with the database.

use sea_orm::{DbErr, RuntimeErr, SqlErr};
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
    /// Whether the same may succeed later: the database is away, busy or not as it should be. What the
    /// data itself forbids never will.
    pub fn is_unavailable(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        let (DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause)) = error else {
            return !matches!(error, DbErr::Type(_) | DbErr::Json(_) | DbErr::Custom(_));
        };
        let RuntimeErr::SqlxError(cause) = cause else {
            return true;
        };
        let code = cause
            .as_database_error()
            .and_then(sea_orm::sqlx::error::DatabaseError::code);
        code.is_none_or(|code| !is_data_fault(&code))
    }

    /// Whether the database does not answer: that was said when it was lost, and is not said again.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Database(error) if crate::link::is_away(error))
    }

    /// Whether the database refused because the row exists.
    pub(crate) fn is_unique_violation(error: &DbErr) -> bool {
        matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
    }
}

/// Whether a database's code says that a value or a constraint was violated: SQLSTATE classes 22 and 23 on
/// PostgreSQL; CONSTRAINT, TOOBIG and MISMATCH, perhaps extended, on SQLite.
fn is_data_fault(code: &str) -> bool {
    match code.len() {
        5 => code.starts_with("22") || code.starts_with("23"),
        _ => matches!(code.parse::<u32>().map(|code| code & 0xff), Ok(18..=20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_data_forbids_is_final() {
        for code in ["23505", "22001", "787", "2067", "20"] {
            assert!(is_data_fault(code), "{code}");
        }
        for code in ["57P01", "40001", "42P01", "5", "13", "nonsense"] {
            assert!(!is_data_fault(code), "{code}");
        }
    }
}
