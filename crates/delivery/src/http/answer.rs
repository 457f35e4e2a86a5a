//! Answers: content types, cache headers, ranges, compression.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use super::range::{Range, range};
use crate::{Thumbnail, rendered::Rendered, window::Scope};

/// Bytes behind such a URL never change: caches may keep them forever.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// The same for the viewer's own cache.
const PRIVATE_FOREVER: HeaderValue =
    HeaderValue::from_static("private, max-age=31536000, immutable");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PLAYLIST: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const MP4: HeaderValue = HeaderValue::from_static("video/mp4");
const WEBP: HeaderValue = HeaderValue::from_static("image/webp");

fn response(
    status: StatusCode,
    body: Body,
    headers: impl IntoIterator<Item = (header::HeaderName, HeaderValue)>,
) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}

/// An error, as plain text; never cached.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: Cow<'static, str>,
}

/// Refuses, saying why and what to do.
pub(super) fn refuse(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Refusal {
    let reason = reason.into();
    Refusal { status, reason }
}

/// Later: the client may ask again after a second.
pub(super) fn later(reason: &'static str) -> Refusal {
    refuse(StatusCode::SERVICE_UNAVAILABLE, reason)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            ),
            (header::CACHE_CONTROL, NO_STORE),
        ];
        let body = match self.reason {
            Cow::Borrowed(text) => Body::from(text),
            Cow::Owned(text) => Body::from(text),
        };
        let mut response = response(self.status, body, headers);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A text that is made for this request.
pub(super) fn text(content_type: HeaderValue, text: String) -> Response {
    response(
        StatusCode::OK,
        Body::from(text),
        [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, NO_STORE),
        ],
    )
}

/// A multivariant playlist: it opens a session, so it is everybody's own.
pub(super) fn multivariant(playlist: String) -> Response {
    text(PLAYLIST, playlist)
}

/// A media playlist, compressed for who takes that.
pub(super) fn playlist(rendered: &Rendered, request: &HeaderMap, scope: Scope) -> Response {
    let caching = HeaderValue::from_static(match scope {
        Scope::Public => "no-cache",
        Scope::Session => "private, no-cache",
    });
    let headers = [
        (header::CONTENT_TYPE, PLAYLIST),
        (header::CACHE_CONTROL, caching),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    let zipped = if accepts_gzip(request) {
        rendered.gzip()
    } else {
        None
    };
    match zipped {
        Some(zipped) => {
            let mut response = response(StatusCode::OK, Body::from(zipped), headers);
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        None => response(StatusCode::OK, Body::from(rendered.plain()), headers),
    }
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    let accepted = request
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|weight| weight == "q=0")
    })
}

/// A segment, part or initialization segment; or the range asked for (RFC 9110 §14). `body` hands it over.
pub(super) fn media(
    data: &Bytes,
    request: &HeaderMap,
    scope: Scope,
    body: impl FnOnce(Bytes) -> Body,
) -> Response {
    let caching = match scope {
        Scope::Public => FOREVER,
        Scope::Session => PRIVATE_FOREVER,
    };
    let headers = [
        (header::CONTENT_TYPE, MP4),
        (header::CACHE_CONTROL, caching),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ];
    match range(request, data.len()) {
        Range::Whole => response(StatusCode::OK, body(data.clone()), headers),
        Range::Part { first, last } => {
            let mut response = response(
                StatusCode::PARTIAL_CONTENT,
                body(data.slice(first..=last)),
                headers,
            );
            let value = HeaderValue::try_from(format!("bytes {first}-{last}/{}", data.len()));
            if let Ok(value) = value {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            response
        }
        Range::Unsatisfiable => {
            let mut response =
                refuse(StatusCode::RANGE_NOT_SATISFIABLE, "no such range").into_response();
            if let Ok(value) = HeaderValue::try_from(format!("bytes */{}", data.len())) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            response
        }
    }
}

/// A picture, or that the client has it.
pub(super) fn picture(picture: &Thumbnail, request: &HeaderMap, scope: Scope) -> Response {
    let caching = HeaderValue::from_static(match scope {
        Scope::Public => "public, max-age=10",
        Scope::Session => "private, max-age=10",
    });
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == picture.etag));
    let (status, body) = if known {
        (StatusCode::NOT_MODIFIED, Body::empty())
    } else {
        (StatusCode::OK, Body::from(picture.webp.clone()))
    };
    let mut response = response(status, body, [(header::CACHE_CONTROL, caching)]);
    let headers = response.headers_mut();
    if !known {
        headers.insert(header::CONTENT_TYPE, WEBP);
    }
    if let Ok(etag) = HeaderValue::try_from(picture.etag.as_str()) {
        headers.insert(header::ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_for_who_asks_for_it() {
        let accepts = |value: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(value),
            )]))
        };
        assert!(accepts("gzip, deflate, br") && accepts("br;q=1.0, gzip;q=0.8"));
        assert!(!accepts("identity") && !accepts("gzip;q=0"));
    }
}
