//! Going on and off air: stream keys, and the moves that a stream's life has.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use serde::{Deserialize, Serialize};
use storage::{Seen, Stream};
use types::StreamState;
use utoipa::ToSchema;

use super::{
    Api, Problem, Shared,
    caller::{From, User},
    extract::Json,
    stream::StreamView,
};
use crate::{
    Error, StreamKey,
    access::Right,
    accounts::{Request, Standing},
};

/// A new key.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewKey {
    /// Shown only now.
    stream_key: String,
}

/// Make a new stream key. The old one is worth nothing from now on, and its publisher is cut off.
#[utoipa::path(post, path = "/api/v1/streams/{stream}/key", tag = "streams", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name")),
    responses((status = 200, body = NewKey), (status = "4XX", body = Problem)))]
pub(crate) async fn new_key(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Path(name): Path<String>,
) -> Result<Answer<NewKey>, Problem> {
    let stream = api.own(&name, &standing).await?;
    let key = StreamKey::generate();
    let entry = from.audit_by(&standing, "key.changed");
    let streams = api.database.streams();
    streams
        .replace_key(stream.id, api.keys.hash(&key), entry)
        .await?;
    api.nudge.nudge();
    Ok(Answer(NewKey {
        stream_key: key.expose().to_owned(),
    }))
}

/// Where a stream is to be in its life.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveStream {
    /// `offline`: end it, its publisher is cut off. `live`: a rehearsal goes on before everybody. `archived`:
    /// put an offline one away for good.
    state: String,
}

/// Move a stream on in its life. A move that its life doesn't have is refused, naming those it has.
#[utoipa::path(post, path = "/api/v1/streams/{stream}/state", tag = "streams", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name")), request_body = MoveStream,
    responses((status = 200, body = StreamView), (status = "4XX", body = Problem)))]
pub(crate) async fn move_to(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    headers: HeaderMap,
    Path(name): Path<String>,
    Json(sent): Json<MoveStream>,
) -> Result<Response, Problem> {
    let (stream, right) = api.find(&name, Some(&standing), None).await?;
    let state: StreamState = sent
        .state
        .parse()
        .map_err(|error: types::ParseStateError| Error::field("state", &error.to_string()))?;
    let may = right.is_owner() || (right == Right::Admin && state == StreamState::Offline);
    if !may {
        return Err(Error::Forbidden("this is somebody else's stream").into());
    }
    let stream = move_stream(&api, stream, state, &standing, &from).await?;
    api.nudge.nudge();
    api.show(stream, right, &headers).await
}

async fn move_stream(
    api: &Api,
    stream: Stream,
    to: StreamState,
    standing: &Standing,
    from: &Request,
) -> Result<Stream, Error> {
    let streams = api.database.streams();
    // A publisher makes a stream live; only a rehearsal is taken there by hand.
    let by_publisher = to == StreamState::Testing
        || (to == StreamState::Live && stream.state != StreamState::Testing);
    if by_publisher && stream.state.next().contains(&to) {
        return Err(Error::Conflict(
            "a stream goes on air when its publisher starts; start it in OBS",
        ));
    }
    let moved = match to {
        StreamState::Offline => {
            let entry = from.audit_by(standing, "stream.ended");
            let live = api.live.get(stream.id);
            let seen = live.map_or_else(Seen::default, |live| live.seen());
            streams.stop(stream.id, seen, entry).await?
        }
        _ => {
            let mut entry = from.audit_by(standing, "stream.moved");
            entry.detail = Some(serde_json::json!({ "state": to }).to_string());
            streams
                .transition(stream.id, to, Seen::default(), Some(entry))
                .await?
        }
    };
    Ok(moved)
}
