//! The friends who carry one's stream: who they are, how they do, and what the streamer does about it.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use events::NodeStatus;
use serde::{Deserialize, Serialize};
use storage::{Carried, Friend, Node, Stream};
use time::OffsetDateTime;
use types::NodeId;
use utoipa::ToSchema;

use super::{
    Api, Links, Problem, Shared,
    caller::{From, User},
    extract::{Check, Json},
    page::List,
};
use crate::{Error, accounts::Standing, swarm::Condition};

/// The longest name, in characters.
const MAX_NAME: usize = 40;
/// The longest message, in characters.
const MAX_TEXT: usize = 500;

/// A friend.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FriendView {
    #[schema(value_type = uuid::Uuid)]
    node: NodeId,
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    joined_at: OffsetDateTime,
    /// `online`, `draining` (takes no new viewers), `paused`, `quarantined` or `offline`.
    status: &'static str,
    /// Viewers carried now.
    viewers: u32,
    /// Uploaded now, bits per second.
    bitrate_bps: u64,
    /// What it was measured to upload, bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_upload_bps: Option<u64>,
    /// What the friend allows, bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bps: Option<u64>,
    /// Of its program.
    version: String,
    /// The friend's own page, for who has this address.
    supporter_url: String,
    /// What is wrong, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// Carried today, as verified.
    today_bytes: u64,
    /// Carried this month, as verified.
    month_bytes: u64,
}

fn word(condition: Option<Condition>, friend: &Friend, node: &Node) -> &'static str {
    match condition {
        Some(Condition::Quarantined) => "quarantined",
        _ if node.quarantine.is_some() => "quarantined",
        Some(Condition::Paused) => "paused",
        _ if friend.paused_at.is_some() => "paused",
        Some(Condition::Online) => "online",
        Some(Condition::Draining) => "draining",
        None => "offline",
    }
}

/// The friends of one's stream, in the order in which they came.
#[utoipa::path(get, path = "/api/v1/streams/{stream}/friends", tag = "friends", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name")),
    responses((status = 200, body = List<FriendView>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): Shared,
    User(standing): User,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Answer<List<FriendView>>, Problem> {
    let stream = api.own(&name, &standing).await?;
    let links = Links::of(&headers, &api.settings);
    let friends = api.database.friends().of_stream(stream.id).await?;
    let (today, month) = api.database.carrying().by_friends(stream.id).await?;
    let carried = |all: &[Carried], node: NodeId| {
        let of_node = all.iter().find(|carried| carried.node == node);
        of_node.map_or(0, |carried| carried.bytes.get())
    };
    let views = friends.into_iter().map(|(friend, node)| {
        let seen = api.swarm.seen(node.id, stream.id);
        let condition = seen.as_ref().map(|seen| seen.condition);
        let measured = seen
            .as_ref()
            .and_then(|seen| seen.measured)
            .or(node.measured.map(|(bps, _)| bps));
        FriendView {
            node: node.id,
            status: word(condition, &friend, &node),
            name: friend.name,
            joined_at: friend.joined_at,
            viewers: seen.as_ref().map_or(0, |seen| seen.viewers),
            bitrate_bps: seen.as_ref().map_or(0, |seen| seen.bitrate.get()),
            measured_upload_bps: measured.map(types::Bitrate::get),
            limit_bps: seen
                .as_ref()
                .and_then(|seen| seen.limit)
                .map(types::Bitrate::get),
            supporter_url: api.swarm.supporter_url(&links, node.id),
            trouble: node.quarantine.map(|(_, reason)| reason),
            version: seen.map_or(node.version, |seen| seen.version),
            today_bytes: carried(&today, node.id),
            month_bytes: carried(&month, node.id),
        }
    });
    Ok(Answer(List::whole(views.collect())))
}

/// What is to be another; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeFriend {
    /// Whether its help is not wanted for now.
    paused: Option<bool>,
    /// What viewers read.
    #[schema(min_length = 1, max_length = 40)]
    name: Option<String>,
}

/// Pause a friend, let it go on, or call it otherwise.
#[utoipa::path(patch, path = "/api/v1/streams/{stream}/friends/{node}", tag = "friends",
    security(("bearer" = [])), request_body = ChangeFriend,
    params(("stream" = String, Path, description = "Id or name"), ("node" = uuid::Uuid, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn change(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Path((name, node)): Path<(String, String)>,
    Json(sent): Json<ChangeFriend>,
) -> Result<StatusCode, Problem> {
    let (stream, node) = api.own_friend(&name, &node, &standing).await?;
    let friends = api.database.friends();
    let missing = || Error::NotFound("friend");
    if let Some(text) = sent.name {
        let mut check = Check::default();
        let called = check.line("name", &text, 1, MAX_NAME);
        check.done()?;
        if !friends.rename(stream.id, node, called).await? {
            return Err(missing().into());
        }
    }
    if let Some(paused) = sent.paused {
        let (status, action) = if paused {
            (NodeStatus::Paused, "friend.paused")
        } else {
            (NodeStatus::Active, "friend.resumed")
        };
        let mut entry = from.audit_by(&standing, action);
        entry.subject = Some(format!("stream/{}", stream.id));
        if !friends.set_status(stream.id, node, status, entry).await? {
            return Err(missing().into());
        }
        api.nudge.nudge();
    }
    api.swarm.friends_changed(node).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a friend: within seconds it carries the stream no longer.
#[utoipa::path(delete, path = "/api/v1/streams/{stream}/friends/{node}", tag = "friends",
    security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"), ("node" = uuid::Uuid, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn remove(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Path((name, node)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (stream, node) = api.own_friend(&name, &node, &standing).await?;
    let entry = from.audit_by(&standing, "friend.removed");
    if !api.swarm.remove(stream.id, node, entry).await? {
        return Err(Error::NotFound("friend").into());
    }
    api.nudge.nudge();
    Ok(StatusCode::NO_CONTENT)
}

/// Words to a friend.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FriendMessage {
    #[schema(min_length = 1, max_length = 500)]
    text: String,
}

/// Send a friend a message: it is shown on the node's own page. 409 while the node is not connected.
#[utoipa::path(post, path = "/api/v1/streams/{stream}/friends/{node}/message", tag = "friends",
    security(("bearer" = [])), request_body = FriendMessage,
    params(("stream" = String, Path, description = "Id or name"), ("node" = uuid::Uuid, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn message(
    State(api): Shared,
    User(standing): User,
    Path((name, node)): Path<(String, String)>,
    Json(sent): Json<FriendMessage>,
) -> Result<StatusCode, Problem> {
    let (stream, node) = api.own_friend(&name, &node, &standing).await?;
    let mut check = Check::default();
    let text = check.line("text", &sent.text, 1, MAX_TEXT);
    check.done()?;
    let known = api.database.friends().of_node(node).await?;
    if !known.iter().any(|friend| friend.stream == stream.id) {
        return Err(Error::NotFound("friend").into());
    }
    let from = standing.display_name.clone();
    if api.swarm.notice(node, stream.id, from, text) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::Conflict("the friend's node is not connected; try again when it is").into())
    }
}

impl Api {
    async fn own_friend(
        &self,
        name: &str,
        node: &str,
        standing: &Standing,
    ) -> Result<(Stream, NodeId), Error> {
        let stream = self.own(name, standing).await?;
        let node = node.parse().map_err(|_| Error::NotFound("friend"))?;
        Ok((stream, node))
    }
}
