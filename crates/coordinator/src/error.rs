//! What can go wrong in the coordinator, and as which code its callers see it.

use proto::{ConvertError, ErrorCode};
use runtime::log::Seldom;
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
    /// Something needed did not answer in time.
    #[error("{0} did not answer in time")]
    TooSlow(&'static str),
    /// No UDP port for test pulls.
    #[error("test pulls: {0}")]
    Peer(#[from] peer::BindError),
    /// A node's identity is in use.
    #[error(
        "this identity is connected from elsewhere; run one node with it, and give each machine its own invite"
    )]
    ConnectedElsewhere,
    /// The STUN port can't be had.
    #[error(
        "STUN: can't listen on UDP {address}: {source}; set STREAMR__COORDINATOR__STUN_BIND (coordinator.stun_bind) to another address"
    )]
    Stun {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A query parameter is wrong.
    #[error("{parameter}: {problem}")]
    Query {
        /// Its name.
        parameter: &'static str,
        /// What is wrong, and what to send.
        problem: &'static str,
    },
    /// Fields of a request can't be used.
    #[error("{}", fields.first().map_or("the request can't be used", |first| first.problem.as_str()))]
    Fields {
        /// Which, and why.
        fields: Vec<FieldProblem>,
    },
    /// The request is no JSON of the wanted form, or not what its headers say.
    #[error("{0}")]
    Malformed(String),
    /// The body is larger than any request needs.
    #[error("the request's body is too large; 64 KiB are enough")]
    TooLarge,
    /// The body is not JSON.
    #[error("send JSON, with the header Content-Type: application/json")]
    NotJson,
    /// Nobody, or somebody whose token is not accepted.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// E-mail or password are wrong.
    #[error("wrong e-mail address or password")]
    WrongPassword,
    /// The second factor is missing or wrong.
    #[error("{0}")]
    TotpRequired(&'static str),
    /// The log-in is over.
    #[error("this log-in is over; log in again")]
    LoggedOut,
    /// The account is banned.
    #[error("this account is banned; ask who runs this server")]
    Banned,
    /// Known, and may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is no such thing, or not for who asks.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Not as things are.
    #[error("{0}")]
    Conflict(&'static str),
    /// Too much, too fast.
    #[error("too many requests; try again in {} s", retry_after.as_secs())]
    RateLimited {
        /// When.
        retry_after: std::time::Duration,
    },
    /// The idempotency key was used for another request.
    #[error("this Idempotency-Key was used for another request; use a new one")]
    KeyReused,
    /// More work of this kind than can be done now.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// No coordinator keeps the swarm, or it is another one by now.
    #[error("friends can't be asked now; try again in a moment")]
    NoKeeper,
    /// Publishing is paused for everybody.
    #[error("publishing is paused on this server; try again later")]
    PublishingPaused,
    /// The stream was ended by its owner a moment ago.
    #[error("this stream was ended a moment ago; start again in a few seconds")]
    JustEnded,
    /// The stream is put away.
    #[error("this stream is archived; make a new one")]
    Archived,
    /// Argon2 or another primitive failed.
    #[error("a cryptographic primitive failed")]
    Hashing,
    /// A token could not be made.
    #[error(transparent)]
    Token(#[from] auth::TokenError),
    /// A configuration that can't be used.
    #[error(transparent)]
    Config(#[from] runtime::config::ConfigError),
    /// A message from another service doesn't say what it must.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// A bus that can't be used.
    #[error(transparent)]
    Bus(#[from] events::BusError),
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

/// Says that requests fail.
static SAID: Seldom = Seldom::new();

/// A field of a request, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldProblem {
    /// The field's name.
    pub field: String,
    /// What is wrong, and what to send.
    pub problem: String,
}

impl Error {
    /// One field can't be used.
    pub(crate) fn field(field: &str, problem: &str) -> Self {
        Self::Fields {
            fields: vec![FieldProblem {
                field: field.to_owned(),
                problem: problem.to_owned(),
            }],
        }
    }

    /// As callers see it.
    pub fn code(&self) -> ErrorCode {
        use StorageError as Kept;
        match self {
            Self::WrongKey
            | Self::Unauthenticated(_)
            | Self::WrongPassword
            | Self::TotpRequired(_)
            | Self::LoggedOut => ErrorCode::Unauthenticated,
            Self::Banned | Self::Forbidden(_) => ErrorCode::PermissionDenied,
            Self::TooManyWrongKeys | Self::RateLimited { .. } => ErrorCode::TooManyRequests,
            Self::AlreadyPublishing | Self::ConnectedElsewhere => ErrorCode::AlreadyExists,
            Self::NoSuchStream(_)
            | Self::NotLive(_)
            | Self::NotFound(_)
            | Self::Storage(Kept::NoStream(_) | Kept::NoUser(_)) => ErrorCode::NotFound,
            Self::OriginTaken
            | Self::Conflict(_)
            | Self::PublishingPaused
            | Self::JustEnded
            | Self::Archived
            | Self::Storage(
                Kept::Transition(_)
                | Kept::OnAir(_)
                | Kept::LastAdmin
                | Kept::TotpEnabled
                | Kept::TooMany { .. },
            ) => ErrorCode::FailedPrecondition,
            Self::Storage(Kept::Changed(_)) => ErrorCode::Changed,
            Self::Fenced | Self::Cache(cache::CacheError::Fenced { .. }) => ErrorCode::Fenced,
            Self::TooLarge => ErrorCode::TooLarge,
            Self::NotJson => ErrorCode::UnsupportedMediaType,
            Self::KeyReused => ErrorCode::Unprocessable,
            Self::Query { .. }
            | Self::Convert(_)
            | Self::Key(crate::KeyError::Form)
            | Self::Fields { .. }
            | Self::Malformed(_) => ErrorCode::InvalidArgument,
            Self::Storage(Kept::SlugTaken(_) | Kept::KeyTaken | Kept::EmailTaken) => {
                ErrorCode::AlreadyExists
            }
            Self::Storage(_) | Self::Cache(_) | Self::Busy | Self::NoKeeper | Self::TooSlow(_) => {
                ErrorCode::Unavailable
            }
            Self::Bind(_)
            | Self::Stun { .. }
            | Self::Peer(_)
            | Self::Bus(_)
            | Self::Tls(_)
            | Self::Hashing
            | Self::Token(_)
            | Self::Key(_)
            | Self::Config(_) => ErrorCode::Internal,
        }
    }

    /// Whether the database does not answer, of which its circuit tells once.
    pub(crate) fn is_told(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_away(),
            Self::TooSlow(_) | Self::NoKeeper => true,
            _ => false,
        }
    }

    /// Logs a request that failed through no fault of who asked.
    pub(crate) fn say(&self) {
        if self.is_told() {
            tracing::debug!(error = %self, "request failed");
        } else if let Some(unsaid) = SAID.say() {
            tracing::warn!(error = %self, unsaid, "request failed");
        }
    }

    /// What callers may read: our own failures are logged, not told.
    pub fn public_message(&self) -> String {
        match self.code() {
            _ if matches!(self, Self::NoKeeper) => self.to_string(),
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
        let label = match error.code() {
            ErrorCode::Unavailable => Some("unavailable"),
            ErrorCode::Internal => Some("internal"),
            _ => None,
        };
        if let Some(code) = label {
            metrics::counter!("streamr_requests_failed_total", "code" => code).increment(1);
            error.say();
        }
        error.code().status(error.public_message())
    }
}
