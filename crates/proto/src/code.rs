//! The one table from what went wrong to gRPC and HTTP status.

use http::StatusCode;
use tonic::Code;

/// What went wrong, from the caller's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The request itself is wrong; repeating it won't help.
    InvalidArgument,
    /// Who asks is not known.
    Unauthenticated,
    /// Who asks is known, and may not.
    PermissionDenied,
    /// There is no such thing.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// Not in this state.
    FailedPrecondition,
    /// Overtaken by someone with a higher fencing number.
    Fenced,
    /// It is not as the caller last saw it.
    Changed,
    /// Larger than it may be.
    TooLarge,
    /// In a form that isn't read here.
    UnsupportedMediaType,
    /// Understood, and contradicts itself or what came before.
    Unprocessable,
    /// Too much, too fast; later.
    TooManyRequests,
    /// Something needed is away; later.
    Unavailable,
    /// Our fault.
    Internal,
}

impl ErrorCode {
    /// The gRPC status code.
    pub const fn grpc(self) -> Code {
        match self {
            Self::InvalidArgument
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::Unprocessable => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::FailedPrecondition => Code::FailedPrecondition,
            Self::Fenced | Self::Changed => Code::Aborted,
            Self::TooManyRequests => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// The HTTP status.
    pub const fn http(self) -> StatusCode {
        match self {
            Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::FailedPrecondition | Self::Fenced => StatusCode::CONFLICT,
            Self::Changed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// As a gRPC status that says `message`.
    pub fn status(self, message: impl Into<String>) -> tonic::Status {
        tonic::Status::new(self.grpc(), message)
    }
}
