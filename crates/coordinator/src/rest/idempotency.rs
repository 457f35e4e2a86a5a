//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a creation that is sent again answers
//! what it answered, and makes nothing twice. Answers hold keys that are shown once, so they are kept
//! sealed.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, Response as HttpResponse, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use storage::{Claim, SecretHash};
use types::UserId;

use super::{Api, MAX_BODY, Problem, caller::Caller};
use crate::{Error, keys::Purpose};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// What keys may be, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;
/// The largest answer that is kept.
const MAX_ANSWER: usize = 256 * 1024;

/// An answer as kept.
#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// The middleware.
pub(crate) async fn remember(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Response {
    let caller = request.extensions().get::<Caller>();
    let user = caller.and_then(|caller| caller.0.as_ref().map(|standing| standing.user));
    let key = request.headers().get(KEY).cloned();
    match (user, key) {
        (Some(user), Some(key)) if request.method() == Method::POST => {
            once(&api, user, &key, request, next)
                .await
                .unwrap_or_else(IntoResponse::into_response)
        }
        _ => next.run(request).await,
    }
}

async fn once(
    api: &Api,
    user: UserId,
    key: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = key
        .to_str()
        .ok()
        .filter(|key| LENGTH.contains(&key.len()))
        .ok_or_else(|| Error::field("Idempotency-Key", "write 8 to 128 printable characters"))?;
    let (parts, body) = request.into_parts();
    let bytes = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|_| Error::TooLarge)?
        .to_bytes();
    let hash = hash(api, parts.uri.path(), &bytes);
    let repository = api.database.idempotency();
    match repository.claim(user, key, hash).await? {
        Claim::Fresh => {}
        Claim::Answered(sealed) => {
            let plain = api.keys.unseal(&context(user, key), &sealed);
            return Ok(replay(&plain.map_err(Error::from)?));
        }
        Claim::InFlight => {
            return Err(Error::Conflict("the same request is being answered; wait for it").into());
        }
        Claim::Other => return Err(Error::KeyReused.into()),
    }
    let request = Request::from_parts(parts, Body::from(bytes));
    let (parts, body) = next.run(request).await.into_parts();
    let bytes = Limited::new(body, MAX_ANSWER)
        .collect()
        .await
        .map_err(|_| Error::Hashing)?
        .to_bytes();
    if parts.status.is_success() {
        let answer = kept(&parts, &bytes);
        let sealed = api.keys.seal(&context(user, key), &answer);
        repository
            .complete(user, key, sealed.map_err(Error::from)?)
            .await?;
    } else {
        repository.release(user, key).await?;
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn hash(api: &Api, path: &str, body: &Bytes) -> SecretHash {
    let request = [path.as_bytes(), b"\n", body].concat();
    api.keys.hash_secret(Purpose::Request, &request)
}

fn context(user: UserId, key: &str) -> String {
    format!("idempotency/{user}/{key}")
}

fn kept(parts: &axum::http::response::Parts, body: &[u8]) -> Vec<u8> {
    let names = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];
    let headers = names.iter().filter_map(|name| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some((name.to_string(), value.to_owned()))
    });
    let answer = Answer {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(body).into_owned(),
    };
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn replay(plain: &[u8]) -> Response {
    let Ok(answer) = serde_json::from_slice::<Answer>(plain) else {
        return Problem::from(Error::Hashing).into_response();
    };
    let mut response = HttpResponse::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
