//! Playback sessions: tokens for who may watch.

use auth::{Kind, PlaybackClaims, ReceiptKey};
use axum::{
    Json as Answer,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proto::coordinator::Edge;
use serde::{Deserialize, Serialize};
use storage::{PlaybackSession, ShareLink};
use time::OffsetDateTime;
use types::{Delivery, Flag, SessionId, ShareLinkId, StreamId};
use utoipa::ToSchema;

use super::{
    Api, Links, Problem, Shared,
    caller::{Caller, From, User},
    extract::Query,
    page::{List, Page},
    stream::Playback,
    streams::share_of,
};
use crate::Error;

/// How the viewer may watch.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenSession {
    /// The secret of a share link, where the stream is private.
    share: Option<String>,
    /// The public half of the key that the page signs its receipts with: Ed25519, 32 bytes as base64url.
    #[schema(min_length = 43, max_length = 43)]
    receipt_key: Option<String>,
    /// `false`: the viewer wants no friends or other viewers to carry it, and shows nobody its address.
    friends: Option<bool>,
}

/// A session to be opened at an edge.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenedSession {
    #[schema(value_type = uuid::Uuid)]
    session: SessionId,
    /// Opens the session within `expires_in`; what it opened lasts.
    token: String,
    /// Seconds.
    expires_in: u64,
    /// LL-HLS.
    playlist: String,
    /// HLS of whole segments.
    friends_playlist: String,
    /// HTTP-FLV.
    flv: String,
    /// RTMP.
    rtmp: String,
    /// Where its bytes come from: edges that each have a name of their own, any of which plays it.
    sources: Vec<Source>,
    /// How the stream is meant to be watched: `low_latency` by `playlist`, `friends` by `friends_playlist`.
    #[schema(value_type = String)]
    mode: Delivery,
    /// What peers of this stream know one another by.
    #[schema(value_type = uuid::Uuid)]
    swarm_id: StreamId,
    /// Where the page announces itself to friends and other viewers; none when they don't carry it.
    trackers: Vec<String>,
    /// STUN servers, as WebRTC takes them.
    stun: Vec<String>,
    /// What the origin signs segments with.
    origin_keys: Vec<OriginKeyView>,
    /// Viewers of this stream are never paired with viewers.
    friends_only: bool,
}

/// A key that segments are signed with.
#[derive(Serialize, ToSchema)]
pub(crate) struct OriginKeyView {
    /// As in digests.
    key_id: String,
    /// Ed25519, base64url.
    public_key: String,
}

/// Origin keys told; older origins are long gone.
const MAX_KEYS: usize = 16;

/// Who serves a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Source {
    /// `edge`.
    kind: &'static str,
    /// What its playback addresses begin with.
    url: String,
}

/// Ask to watch: a token, and where it plays. A private stream asks for its owner's log-in or a share link.
#[utoipa::path(post, path = "/api/v1/streams/{stream}/sessions", tag = "watching",
    security((), ("bearer" = [])), params(("stream" = String, Path, description = "Id or name")),
    request_body(content = Option<OpenSession>),
    responses((status = 201, body = OpenedSession), (status = "4XX", body = Problem)))]
pub(crate) async fn open(
    State(api): Shared,
    Caller(caller): Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Answer<OpenedSession>), Problem> {
    let sent: OpenSession = if body.is_empty() {
        OpenSession::default()
    } else {
        super::extract::json(&headers, &body)?
    };
    let receipt_key = sent.receipt_key.as_deref().map(str::parse).transpose();
    let receipt_key: Option<ReceiptKey> = receipt_key.map_err(|_| {
        Error::field(
            "receipt_key",
            "send 32 bytes of Ed25519 as base64url without padding",
        )
    })?;
    let share = sent.share.as_deref().or(share_of(&headers));
    let (stream, right) = api.find(&name, caller.as_deref(), share).await?;
    let (session, token) = api
        .accounts
        .open_session(&stream, right, caller.as_deref(), receipt_key)
        .await?;
    let links = Links::of(&headers, &api.settings);
    let token = token.expose().clone();
    let [playlist, friends_playlist, flv, rtmp] =
        Playback::of(&stream.slug, &links, Some(&token)).into_parts();
    let mut sources: Vec<Source> = api.registry.edges().into_iter().map(Source::of).collect();
    if sources.is_empty() {
        sources.push(Source::at(links.playback().to_owned()));
    }
    let carried = sent.friends != Some(false) && !api.live.is_off(Flag::Friends);
    let trackers = carried.then(|| links.tracker(&token));
    if carried {
        api.swarm.note(&stream).await?;
    }
    let answer = OpenedSession {
        mode: stream.delivery,
        swarm_id: stream.id,
        trackers: trackers.into_iter().collect(),
        stun: vec![format!("stun:{}", links.stun(api.settings.stun_port))],
        origin_keys: origin_keys(&api).await?,
        friends_only: stream.friends_only,
        session,
        token,
        expires_in: PlaybackClaims::LIFETIME.as_secs(),
        playlist,
        friends_playlist,
        flv,
        rtmp,
        sources,
    };
    Ok((StatusCode::CREATED, Answer(answer)))
}

async fn origin_keys(api: &Api) -> Result<Vec<OriginKeyView>, Error> {
    let mut keys = api.database.origins().keys().await?;
    let old = keys.len().saturating_sub(MAX_KEYS);
    let views = keys.drain(old..).map(|key| OriginKeyView {
        key_id: key.key_id,
        public_key: URL_SAFE_NO_PAD.encode(key.public_key),
    });
    Ok(views.collect())
}

impl Source {
    fn at(url: String) -> Self {
        Self { kind: "edge", url }
    }

    fn of(edge: Edge) -> Self {
        Self::at(edge.playback_url)
    }
}

/// The share link that a session was opened with.
#[derive(Debug, Serialize, ToSchema)]
struct Via {
    #[schema(value_type = uuid::Uuid)]
    id: ShareLinkId,
    label: String,
}

/// A session on a stream that isn't public.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionView {
    #[schema(value_type = uuid::Uuid)]
    id: SessionId,
    /// `owner` or `link`.
    via: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Via>,
    #[serde(with = "time::serde::rfc3339")]
    issued_at: OffsetDateTime,
}

fn view(session: PlaybackSession, links: &[ShareLink]) -> SessionView {
    let link = session.link.map(|id| Via {
        id,
        label: links.iter().find(|link| link.id == id).map_or_else(
            || "a link that was revoked".to_owned(),
            |link| link.label.clone(),
        ),
    });
    SessionView {
        id: session.id,
        via: if link.is_some() { "link" } else { "owner" },
        link,
        issued_at: session.issued_at,
    }
}

/// Who was let in to one's stream, newest first.
#[utoipa::path(get, path = "/api/v1/streams/{stream}/sessions", tag = "watching", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"), Page),
    responses((status = 200, body = List<SessionView>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): Shared,
    User(standing): User,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Answer<List<SessionView>>, Problem> {
    let stream = api.own(&name, &standing).await?;
    let (after, limit) = (page.after()?, page.limit()?);
    let shares = api.database.shares();
    let sessions = shares.sessions(stream.id, after, limit).await?;
    let links = shares.of(stream.id).await?;
    let key = |session: &PlaybackSession| session.id.to_string();
    let list = List::page(sessions, limit, key, |session| view(session, &links));
    Ok(Answer(list))
}

/// Cut a viewer off: what the session opened is closed, its token opens nothing more.
#[utoipa::path(delete, path = "/api/v1/streams/{stream}/sessions/{session}", tag = "watching",
    security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"), ("session" = uuid::Uuid, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn revoke(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Path((name, session)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let stream = api.own(&name, &standing).await?;
    let missing = || Error::NotFound("session");
    let session: SessionId = session.parse().map_err(|_| missing())?;
    let mut entry = from.audit_by(&standing, "session.revoked");
    entry.subject = Some(format!("stream/{}", stream.id));
    let shares = api.database.shares();
    if !shares.revoke_session(stream.id, session, entry).await? {
        return Err(missing().into());
    }
    api.nudge.nudge();
    Ok(StatusCode::NO_CONTENT)
}
