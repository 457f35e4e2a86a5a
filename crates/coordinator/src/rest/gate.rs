//! What every request passes: it is given a number, its token is verified, its caller is counted.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use cache::Hits;
use uuid::Uuid;

use super::{
    Api, Problem,
    caller::{self, Caller},
};
use crate::{
    Error,
    accounts::{Standing, refused},
};

/// Callers are counted by the minute.
const WINDOW: Duration = Duration::from_secs(60);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// One caller's count against its quota.
struct Quota {
    policy: &'static str,
    allowed: u32,
    hits: Hits,
}

/// The middleware.
pub(crate) async fn pass(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let id = request_id(&parts);
    let (response, quota) = match admit(&api, &mut parts).await {
        Ok(quota) => {
            let answered = next.run(Request::from_parts(parts, body)).await;
            (answered, Some(quota))
        }
        Err((problem, quota)) => (problem.into_response(), quota),
    };
    finish(response, &id, quota)
}

/// The caller's own number for the request, if it is a plain one; else a new one.
fn request_id(parts: &Parts) -> String {
    let given = parts
        .headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

async fn admit(api: &Api, parts: &mut Parts) -> Result<Quota, (Problem, Option<Quota>)> {
    let caller = identify(api, parts).await;
    let standing = caller.as_ref().ok().and_then(|caller| caller.0.as_deref());
    let quota = count(api, parts, standing)
        .await
        .map_err(|error| (error.into(), None))?;
    if quota.hits.count > quota.allowed {
        metrics::counter!("streamr_api_limited_total", "policy" => quota.policy).increment(1);
        tracing::debug!(reason = quota.policy, "too many requests");
        let error = Error::RateLimited {
            retry_after: quota.hits.resets_in,
        };
        return Err((error.into(), Some(quota)));
    }
    match caller {
        Ok(caller) => {
            parts.extensions.insert(caller);
            Ok(quota)
        }
        Err(error) => Err((error.into(), Some(quota))),
    }
}

/// Who sent the token. One that is not accepted is an error, even where none is needed.
async fn identify(api: &Api, parts: &Parts) -> Result<Caller, Error> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(Caller(None));
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = token.filter(|_| values.next().is_none()) else {
        return Err(Error::Unauthenticated(
            "send one Authorization header: Bearer and the access token",
        ));
    };
    let claims = api.accounts.signing.verify_access(token).map_err(|error| {
        let reason = error.label();
        metrics::counter!("streamr_bad_tokens_total", "reason" => reason).increment(1);
        tracing::debug!(reason, "access token refused");
        Error::Unauthenticated(match error {
            auth::TokenError::Expired => "the access token has expired; refresh it",
            _ => "the access token is not accepted; log in again",
        })
    })?;
    match api.accounts.standings.of(&claims).await? {
        Some(standing) => Ok(Caller(Some(standing))),
        None => {
            refused("over");
            Err(Error::Unauthenticated("this log-in is over; log in again"))
        }
    }
}

async fn count(api: &Api, parts: &Parts, standing: Option<&Standing>) -> Result<Quota, Error> {
    let address = crate::accounts::prefix(caller::address(parts));
    let path = parts.uri.path();
    let costly = path.starts_with("/api/v1/auth/")
        && !path.ends_with("/refresh")
        && !path.ends_with("/logout")
        && parts.method == axum::http::Method::POST;
    let (policy, key, allowed) = match standing {
        _ if costly => (
            "auth",
            format!("rate/auth/{address}"),
            api.settings.auth_requests_per_minute,
        ),
        Some(standing) => (
            "user",
            format!("rate/user/{}", standing.user),
            api.settings.user_requests_per_minute,
        ),
        None => (
            "address",
            format!("rate/address/{address}"),
            api.settings.requests_per_minute,
        ),
    };
    let hits = api.cache.count(&key, WINDOW).await?;
    Ok(Quota {
        policy,
        allowed,
        hits,
    })
}

/// What every answer says (draft-ietf-httpapi-ratelimit-headers-09 for the limits).
fn finish(mut response: Response, id: &str, quota: Option<Quota>) -> Response {
    let headers = response.headers_mut();
    let mut say = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    say(REQUEST_ID, id.to_owned());
    if let Some(Quota {
        policy,
        allowed,
        hits,
    }) = quota
    {
        let (left, resets) = (allowed.saturating_sub(hits.count), hits.resets_in.as_secs());
        say(RATE_LIMIT, format!("\"{policy}\";r={left};t={resets}"));
        let window = WINDOW.as_secs();
        say(
            RATE_LIMIT_POLICY,
            format!("\"{policy}\";q={allowed};w={window}"),
        );
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
