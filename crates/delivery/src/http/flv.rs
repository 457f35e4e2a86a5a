//! HTTP-FLV: one endless answer, written in batches that all viewers share.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use futures::stream;
use tokio::sync::watch;
use types::{Flag, SessionId};

use super::{
    Name, Query, Source, Streams,
    answer::{self, Refusal},
    rights::{self, Opened},
};
use crate::{
    Batch, Stream,
    fanout::{Next, Subscriber},
    served::To,
    sessions::Connected,
};

const OFF: &str = "HTTP-FLV is switched off on this server; play /live/<stream>/index.m3u8";

/// What a viewer's connection holds.
struct Viewer {
    reader: Subscriber<Batch>,
    catalog: Streams,
    /// Keeps the stream while it is watched.
    stream: Arc<Stream>,
    session: Option<SessionId>,
    /// Changes when the viewer may have lost its right.
    narrowed: watch::Receiver<u64>,
    _connected: Connected,
}

/// `GET /live/<stream>.flv`.
pub(super) async fn play(
    State(catalog): Source,
    Path(name): Name,
    RawQuery(query): Query,
    method: Method,
) -> Result<Response, Refusal> {
    let Some(name) = name.strip_suffix(".flv") else {
        return Err(answer::refuse(
            StatusCode::NOT_FOUND,
            "no such path; play /live/<stream>.flv or /live/<stream>/index.m3u8",
        ));
    };
    if !catalog.flag(Flag::HttpFlv) {
        rights::refused("http_flv_off");
        return Err(answer::refuse(StatusCode::FORBIDDEN, OFF));
    }
    let opened = rights::open(&catalog, name, query.as_deref())?;
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(tags(catalog, opened))
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("video/x-flv"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Viewer {
    fn new(
        catalog: Streams,
        Opened {
            stream, session, ..
        }: Opened,
    ) -> Self {
        let mut narrowed = stream.access().narrowed();
        // It is looked at once in any case: what changed since it was opened may be unseen.
        narrowed.mark_changed();
        stream.sessions.opened();
        Self {
            reader: stream.flv().subscribe(),
            _connected: stream.sessions.connect(),
            catalog,
            stream,
            session,
            narrowed,
        }
    }

    fn may_stay(&self) -> bool {
        self.catalog.flag(Flag::HttpFlv)
            && rights::may_stay(&self.catalog, &self.stream, self.session)
    }

    /// What is next; `None` when there is no more, or not for this viewer.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let next = tokio::select! {
                biased;
                _ = self.narrowed.changed() => {
                    if self.may_stay() {
                        continue;
                    }
                    metrics::counter!("streamr_viewers_cut_total", "protocol" => "flv").increment(1);
                    tracing::debug!(protocol = "flv", stream_id = %self.stream.id(), "viewer cut off");
                    return None;
                }
                next = self.reader.next() => next,
            };
            match next {
                Next::Entry(batch) => return Some(batch.bytes),
                Next::Preamble(preamble) => {
                    if let Some(first) = preamble.into_iter().next() {
                        return Some(first.bytes);
                    }
                }
                Next::Skipped => {}
                Next::Closed => return None,
            }
        }
    }
}

fn tags(
    catalog: Streams,
    opened: Opened,
) -> impl stream::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<> {
    let viewer = Viewer::new(catalog, opened);
    viewer.stream.demand_flv();
    stream::unfold(viewer, |mut viewer| async move {
        let bytes = viewer.next().await?;
        viewer.stream.served.add(To::Viewer, bytes.len());
        Some((Ok(bytes), viewer))
    })
}
