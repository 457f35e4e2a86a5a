//! Answers: content types, cache headers, ranges, compression.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;

use crate::rendered::Rendered;

/// Bytes behind such a URL never change: caches may keep them forever.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PLAYLIST: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const MP4: HeaderValue = HeaderValue::from_static("video/mp4");

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
pub(super) fn refuse(status: StatusCode, reason: &'static str) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, NO_STORE),
    ];
    response(status, Body::from(reason), headers)
}

/// Later: the client may ask again after a second.
pub(super) fn later(reason: &'static str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, reason);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
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
pub(super) fn playlist(rendered: &Rendered, request: &HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, PLAYLIST),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
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

/// A segment, part or initialization segment; or the range asked for (RFC 9110 §14).
pub(super) fn media(data: &Bytes, request: &HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, MP4),
        (header::CACHE_CONTROL, FOREVER),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ];
    match range(request, data.len()) {
        Range::Whole => response(StatusCode::OK, Body::from(data.clone()), headers),
        Range::Part { first, last } => {
            let mut response = response(
                StatusCode::PARTIAL_CONTENT,
                Body::from(data.slice(first..=last)),
                headers,
            );
            let value = HeaderValue::try_from(format!("bytes {first}-{last}/{}", data.len()));
            if let Ok(value) = value {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            response
        }
        Range::Unsatisfiable => {
            let mut response = refuse(StatusCode::RANGE_NOT_SATISFIABLE, "no such range");
            if let Ok(value) = HeaderValue::try_from(format!("bytes */{}", data.len())) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            response
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    Part { first: usize, last: usize },
    Unsatisfiable,
}

/// The one range asked for. What isn't a single byte range may be ignored (RFC 9110 §14.2), and is.
fn range(request: &HeaderMap, length: usize) -> Range {
    let asked = request
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let Some((first, last)) = asked
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|set| set.split_once('-'))
    else {
        return Range::Whole;
    };
    let (first, last): (Option<usize>, Option<usize>) = match (first.trim(), last.trim()) {
        ("", "") => return Range::Whole,
        ("", suffix) => match suffix.parse::<usize>() {
            Ok(0) => return Range::Unsatisfiable,
            Ok(suffix) => (
                Some(length.saturating_sub(suffix)),
                Some(length.saturating_sub(1)),
            ),
            Err(_) => return Range::Whole,
        },
        (first, "") => (first.parse().ok(), Some(length.saturating_sub(1))),
        (first, last) => (first.parse().ok(), last.parse().ok()),
    };
    match (first, last) {
        (Some(first), Some(last)) if first > last => {
            if first >= length {
                Range::Unsatisfiable
            } else {
                Range::Whole
            }
        }
        (Some(first), Some(_)) if first >= length => Range::Unsatisfiable,
        (Some(first), Some(last)) => Range::Part {
            first,
            last: last.min(length - 1),
        },
        _ => Range::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range_header: &str) -> Range {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::try_from(range_header).unwrap());
        range(&headers, 100)
    }

    #[test]
    fn ranges_are_answered_as_rfc_9110_wants() {
        assert_eq!(asked("bytes=0-9"), Range::Part { first: 0, last: 9 });
        assert_eq!(
            asked("bytes=90-"),
            Range::Part {
                first: 90,
                last: 99
            }
        );
        assert_eq!(
            asked("bytes=-10"),
            Range::Part {
                first: 90,
                last: 99
            }
        );
        assert_eq!(asked("bytes=-1000"), Range::Part { first: 0, last: 99 });
        assert_eq!(
            asked("bytes=50-1000"),
            Range::Part {
                first: 50,
                last: 99
            }
        );
        for unsatisfiable in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(
                asked(unsatisfiable),
                Range::Unsatisfiable,
                "{unsatisfiable}"
            );
        }
        for ignored in [
            "bytes=5-2",
            "bytes=0-1,5-6",
            "lines=1-2",
            "bytes=-",
            "bytes=x-y",
        ] {
            assert_eq!(asked(ignored), Range::Whole, "{ignored}");
        }
    }

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
