//! A stream's live state as server-sent events (WHATWG HTML §9.2), read by fetch: `EventSource` sends no
//! bearer token.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio_stream::wrappers::WatchStream;
use types::StreamId;

use super::{
    Api, Links, Problem, Shared,
    caller::Caller,
    stream::{HealthView, Seen, StreamView},
    streams::share_of,
};
use crate::{
    access::Right,
    accounts::Standing,
    feeds::{Feed, Snapshot},
    health::LOOKED_AT,
    history::HealthSample,
};

/// A line that says nothing, so that proxies don't think the connection dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What arrived in the last second, for the owner.
#[derive(Serialize)]
struct HealthEvent {
    #[serde(flatten)]
    sample: HealthSample,
    now: HealthView,
}

/// Whoever listens.
struct Listener {
    api: Arc<Api>,
    /// Keeps the feed going.
    _feed: Arc<Feed>,
    links: Links,
    owner: Option<String>,
    caller: Option<Arc<Standing>>,
    share: Option<String>,
    right: Right,
    told: Option<String>,
}

/// Listen to a stream: `stream` at once and whenever it changes, `health` each second for its owner, `gone`
/// when it is deleted or may no longer be seen.
#[utoipa::path(get, path = "/api/v1/streams/{stream}/events", tag = "streams", security((), ("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"),
        ("Share-Secret" = Option<String>, Header, description = "The secret of a share link")),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = "4XX", body = Problem)))]
pub(crate) async fn listen(
    State(api): Shared,
    Caller(caller): Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let share = share_of(&headers).map(str::to_owned);
    let (stream, right) = api.find(&name, caller.as_deref(), share.as_deref()).await?;
    let owner = api.owner_name(&stream).await?;
    let feed = api.feeds.of(stream);
    let snapshots = WatchStream::new(feed.listen());
    let listener = Listener {
        links: Links::of(&headers, &api.settings),
        _feed: feed,
        api,
        owner,
        caller,
        share,
        right,
        told: None,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events(listener, snapshots))
        .keep_alive(keep_alive)
        .into_response())
}

fn events(
    listener: Listener,
    snapshots: WatchStream<Arc<Snapshot>>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let told = stream::unfold(Some((listener, snapshots)), async |state| {
        let (mut listener, mut snapshots) = state?;
        let snapshot = snapshots.next().await?;
        let (events, goes_on) = listener.tell(&snapshot).await;
        let rest = goes_on.then_some((listener, snapshots));
        Some((stream::iter(events.into_iter().map(Ok)), rest))
    });
    told.flatten()
}

impl Listener {
    /// What this snapshot says to this listener, and whether there is more to come.
    async fn tell(&mut self, snapshot: &Snapshot) -> (Vec<Event>, bool) {
        let Some(id) = self.may_see(snapshot).await else {
            return (vec![Event::default().event("gone").data("{}")], false);
        };
        let seen = Seen {
            right: self.right,
            links: &self.links,
            owner: self.owner.as_deref(),
        };
        let mut events = Vec::new();
        let view = StreamView::of(snapshot, &seen, &self.api);
        let json = view.and_then(|view| serde_json::to_string(&view).ok());
        if let Some(json) = json.filter(|json| self.told.as_ref() != Some(json)) {
            events.push(Event::default().event("stream").data(&json));
            self.told = Some(json);
        }
        if let (true, Some(sample), Some(live)) =
            (self.right.is_owner(), snapshot.sample, &snapshot.live)
        {
            let minute = self.api.histories.recent(id, LOOKED_AT);
            let now = HealthView::of(live, &minute);
            if let Ok(json) = serde_json::to_string(&HealthEvent { sample, now }) {
                events.push(Event::default().event("health").data(json));
            }
        }
        (events, true)
    }

    /// Whether the stream is still there for this listener: it may have become private.
    async fn may_see(&mut self, snapshot: &Snapshot) -> Option<StreamId> {
        let stream = snapshot.stream.as_ref()?;
        if !stream.is_restricted() && self.right == Right::Anyone {
            return Some(stream.id);
        }
        let right = self
            .api
            .accounts
            .right_on(stream, self.caller.as_deref(), self.share.as_deref())
            .await;
        match right {
            Ok(Some(right)) => {
                self.right = right;
                Some(stream.id)
            }
            Ok(None) => None,
            // The database is away: what held last goes on.
            Err(_) => Some(stream.id),
        }
    }
}
