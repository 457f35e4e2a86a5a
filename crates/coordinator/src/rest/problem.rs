//! Errors as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Error, error::FieldProblem};

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says the kind.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong here, and what to do about it.
    detail: String,
    /// Stable and for programs: `invalid`, `unauthenticated`, `totp_required`, `forbidden`, `not_found`,
    /// `conflict`, `precondition_failed`, `rate_limited`, `unavailable`, `internal`.
    code: &'static str,
    /// Which fields of the request, if it was about fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: String) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            code,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The path is right, the method isn't.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "this path has other methods; /api/docs describes the API".to_owned();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid", detail)
    }
}

fn code_of(error: &Error, status: StatusCode) -> &'static str {
    match error {
        Error::TotpRequired(_) => "totp_required",
        _ => match status.as_u16() {
            401 => "unauthenticated",
            403 => "forbidden",
            404 => "not_found",
            409 => "conflict",
            412 => "precondition_failed",
            429 => "rate_limited",
            503 => "unavailable",
            400..500 => "invalid",
            _ => "internal",
        },
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = error.code().http();
        if status.is_server_error() {
            metrics::counter!("streamr_api_failures_total").increment(1);
            error.say();
        }
        let mut problem = Self::new(status, code_of(&error, status), error.public_message());
        problem.retry_after = match &error {
            Error::RateLimited { retry_after } => Some(*retry_after),
            _ => (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1)),
        };
        if let Error::Fields { fields } = error {
            problem.errors = fields;
        }
        problem
    }
}

impl From<storage::StorageError> for Problem {
    fn from(error: storage::StorageError) -> Self {
        Error::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, headers, body).into_response();
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"streamr\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
