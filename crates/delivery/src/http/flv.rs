//! HTTP-FLV: one endless answer, written in batches that all viewers share.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use futures::stream;

use super::{Name, Source, answer, find};
use crate::{
    Batch, Stream,
    fanout::{Next, Subscriber},
    sessions::Connected,
};

/// What a viewer's connection holds.
struct Viewer {
    reader: Subscriber<Batch>,
    /// Keeps the stream while it is watched.
    _stream: Arc<Stream>,
    _connected: Connected,
}

/// `GET /live/<stream>.flv`.
pub(super) async fn play(State(catalog): Source, Path(name): Name, method: Method) -> Response {
    let Some(name) = name.strip_suffix(".flv") else {
        return answer::refuse(
            StatusCode::NOT_FOUND,
            "no such path; play /live/<stream>.flv or /live/<stream>/index.m3u8",
        );
    };
    let stream = match find(&catalog, name).await {
        Ok(stream) => stream,
        Err(refusal) => return refusal,
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(tags(&stream))
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("video/x-flv"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn tags(
    stream: &Arc<Stream>,
) -> impl stream::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<> {
    let viewer = Viewer {
        reader: stream.flv().subscribe(),
        _stream: Arc::clone(stream),
        _connected: stream.sessions.connect(),
    };
    stream.demand_flv();
    stream::unfold(viewer, |mut viewer| async move {
        loop {
            match viewer.reader.next().await {
                Next::Entry(batch) => return Some((Ok(batch.bytes), viewer)),
                Next::Preamble(preamble) => {
                    if let Some(first) = preamble.into_iter().next() {
                        return Some((Ok(first.bytes), viewer));
                    }
                }
                Next::Skipped => {}
                Next::Closed => return None,
            }
        }
    })
}
