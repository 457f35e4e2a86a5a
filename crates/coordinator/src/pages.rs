//! The pages: embedded files with the headers that keep them safe and quick.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use tower_http::compression::CompressionLayer;
use web::Asset;

use crate::{Settings, registry::Registry, rest::Links};

/// The routes. What is no page, file or API is the front page's to explain.
pub(crate) fn routes(settings: Settings, registry: Registry) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/setup", get(front))
        .route("/login", get(front))
        .route("/register", get(front))
        .route("/forgot", get(front))
        .route("/reset", get(front))
        .route("/account", get(front))
        .route("/streams", get(front))
        .route("/streams/{stream}", get(front))
        .route("/streams/{stream}/connect", get(front))
        .route("/streams/{stream}/live", get(front))
        .route("/streams/{stream}/access", get(front))
        .route("/streams/{stream}/friends", get(front))
        .route("/join", get(front))
        .route("/supporter/{node}", get(front))
        .route("/overlay/{stream}", get(front))
        .route("/admin", get(front))
        .route("/admin/{section}", get(front))
        .route("/watch/{stream}", get(watch))
        .route("/assets/{*path}", get(file))
        .route("/favicon.svg", get(favicon))
        .fallback(nowhere)
        .layer(CompressionLayer::new())
        .with_state(Arc::new(Known { settings, registry }))
}

/// What pages are told of.
struct Known {
    settings: Settings,
    registry: Registry,
}

type Shared = State<Arc<Known>>;

async fn front(State(known): Shared, headers: HeaderMap) -> Response {
    page(StatusCode::OK, web::page(), &headers, &known)
}

async fn watch(State(known): Shared, headers: HeaderMap) -> Response {
    page(StatusCode::OK, web::watch_page(), &headers, &known)
}

async fn nowhere(State(known): Shared, headers: HeaderMap) -> Response {
    page(StatusCode::NOT_FOUND, web::page(), &headers, &known)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match web::asset(&format!("assets/{path}")) {
        Some(asset) => respond(StatusCode::OK, asset, &headers),
        None => missing(),
    }
}

async fn favicon(headers: HeaderMap) -> Response {
    web::asset("favicon.svg").map_or_else(missing, |asset| respond(StatusCode::OK, asset, &headers))
}

fn missing() -> Response {
    let mut response = Response::new(Body::from("no such file\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// A page may run its own scripts, and reach the API and playback; nothing else (promise G4).
fn policy(playback: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob: {playback}; \
         connect-src 'self' {playback}; media-src 'self' blob: {playback}; worker-src 'self' blob:; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn page(status: StatusCode, asset: Asset, request: &HeaderMap, known: &Known) -> Response {
    let mut response = respond(status, asset, request);
    let links = Links::of(request, &known.settings);
    let mut playback = vec![links.playback().to_owned()];
    playback.extend(
        known
            .registry
            .edges()
            .into_iter()
            .map(|edge| edge.playback_url),
    );
    let policy = HeaderValue::try_from(policy(&playback.join(" ")))
        .unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=()"),
    );
    response
}

fn respond(status: StatusCode, asset: Asset, request: &HeaderMap) -> Response {
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|tag| tag.to_str().ok());
    let unchanged =
        status == StatusCode::OK && known.is_some_and(|tags| tags.contains(&asset.etag));
    let body = if unchanged {
        Body::empty()
    } else {
        Body::from(asset.bytes.into_owned())
    };
    let mut response = Response::new(body);
    *response.status_mut() = if unchanged {
        StatusCode::NOT_MODIFIED
    } else {
        status
    };
    let cache = if asset.immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    for (name, value) in [
        (header::CONTENT_TYPE, asset.content_type),
        (header::ETAG, asset.etag),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_has_no_inline_and_no_foreign_source() {
        let policy = policy("http://localhost:8080 https://b.example");
        assert!(!policy.contains("unsafe") && !policy.contains('*'));
        assert!(policy.contains("connect-src 'self' http://localhost:8080 https://b.example;"));
    }
}
