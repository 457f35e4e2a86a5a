//! What can go wrong in the coordinator, and as which code its callers see it.

use proto::{ConvertError, ErrorCode};
use storage::StorageError;
use types::StreamId;

/// A request that can't be met, or a start that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing with this key.
    #[error("no such stream key; copy it again from where it was shown, or make a new one")]
    WrongKey,
    /// Too many wrong keys from the address.
    #[error("too many wrong stream keys from this address; wait a minute")]
    TooManyWrongKeys,
    /// The stream has a publisher that is alive.
    #[error("this stream is being published already; stop the other publisher first")]
    AlreadyPublishing,
    /// Nothing by this name or id.
    #[error("no stream {0:?}")]
    NoSuchStream(String),
    /// The stream isn't live here.
    #[error("stream {0} is not live")]
    NotLive(StreamId),
    /// Another origin has the lease.
    #[error("another origin packages this stream")]
    OriginTaken,
    /// A higher epoch was opened.
    #[error("fenced: another origin packages this stream under a higher epoch")]
    Fenced,
    /// A query parameter is wrong.
    #[error("{parameter}: {problem}")]
    Query {
        /// Its name.
        parameter: &'static str,
        /// What is wrong, and what to send.
        problem: &'static str,
    },
    /// A message from another service doesn't say what it must.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// A port that can't be had.
    #[error(transparent)]
    Bind(#[from] runtime::http::BindError),
    /// A certificate that can't be used.
    #[error(transparent)]
    Tls(#[from] runtime::tls::TlsError),
    /// A key that can't be used.
    #[error(transparent)]
    Key(#[from] crate::KeyError),
}

impl Error {
    /// As callers see it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::WrongKey => ErrorCode::Unauthenticated,
            Self::TooManyWrongKeys => ErrorCode::TooManyRequests,
            Self::AlreadyPublishing => ErrorCode::AlreadyExists,
            Self::NoSuchStream(_) | Self::NotLive(_) | Self::Storage(StorageError::NoStream(_)) => {
                ErrorCode::NotFound
            }
            Self::OriginTaken | Self::Storage(StorageError::Transition(_)) => {
                ErrorCode::FailedPrecondition
            }
            Self::Fenced => ErrorCode::Fenced,
            Self::Query { .. } | Self::Convert(_) | Self::Key(_) => ErrorCode::InvalidArgument,
            Self::Storage(StorageError::SlugTaken(_) | StorageError::KeyTaken) => {
                ErrorCode::AlreadyExists
            }
            Self::Storage(_) | Self::Cache(_) => ErrorCode::Unavailable,
            Self::Bind(_) | Self::Tls(_) => ErrorCode::Internal,
        }
    }

    /// What callers may read: our own failures are logged, not told.
    pub fn public_message(&self) -> String {
        match self.code() {
            ErrorCode::Unavailable => {
                "the service can't reach its database now; try again".to_owned()
            }
            ErrorCode::Internal => "internal error".to_owned(),
            _ => self.to_string(),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        if matches!(error.code(), ErrorCode::Unavailable | ErrorCode::Internal) {
            tracing::warn!(%error, "request failed");
        }
        error.code().status(error.public_message())
    }
}
