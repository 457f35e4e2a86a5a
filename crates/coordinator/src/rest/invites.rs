//! Invites to carry a stream: single-use, revocable, shown once.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use storage::Invite;
use time::{Duration, OffsetDateTime};
use types::{InviteId, Slug};
use utoipa::ToSchema;

use super::{
    Links, Problem, Shared,
    caller::{From, User},
    downloads::{self, Download},
    extract::{Check, Json, Query},
    page::{List, Page},
};
use crate::{
    Error,
    accounts::sent_secret,
    keys::{Purpose, random_secret},
};

/// The longest name, in characters.
const MAX_NAME: usize = 40;
/// How long an invite is good unless said otherwise.
const GOOD_FOR: Duration = Duration::days(7);
/// In seconds, the shortest and the longest.
const EXPIRES_IN: std::ops::RangeInclusive<u64> = 60..=90 * 24 * 3600;

/// An invite.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InviteView {
    #[schema(value_type = uuid::Uuid)]
    id: InviteId,
    /// For whom; may be empty.
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// `open`, `used`, `revoked` or `expired`.
    state: &'static str,
}

impl std::convert::From<Invite> for InviteView {
    fn from(invite: Invite) -> Self {
        let state = if invite.used.is_some() {
            "used"
        } else if invite.revoked_at.is_some() {
            "revoked"
        } else if invite.expires_at <= OffsetDateTime::now_utc() {
            "expired"
        } else {
            "open"
        };
        Self {
            id: invite.id,
            name: invite.name,
            created_at: invite.created_at,
            expires_at: invite.expires_at,
            state,
        }
    }
}

/// An invite to be made.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateInvite {
    /// For whom: what viewers will read. Left out, the friend chooses.
    #[schema(max_length = 40)]
    name: Option<String>,
    /// Seconds; a week unless said otherwise.
    #[schema(minimum = 60, maximum = 7_776_000)]
    expires_in: Option<u64>,
}

/// An invite with its link.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedInvite {
    #[serde(flatten)]
    invite: InviteView,
    /// Shown only now; the secret stands behind the `#`, which browsers send nowhere.
    link: String,
}

/// Invite a friend to carry the stream. The link is good once.
#[utoipa::path(post, path = "/api/v1/streams/{stream}/invites", tag = "friends", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"),
        ("Idempotency-Key" = Option<String>, Header, description = "8 to 128 printable characters", min_length = 8, max_length = 128)),
    request_body(content = Option<CreateInvite>),
    responses((status = 201, body = CreatedInvite), (status = "4XX", body = Problem)))]
pub(crate) async fn create(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Answer<CreatedInvite>), Problem> {
    let stream = api.own(&name, &standing).await?;
    let sent: CreateInvite = if body.is_empty() {
        CreateInvite::default()
    } else {
        super::extract::json(&headers, &body)?
    };
    let mut check = Check::default();
    let called = sent
        .name
        .map(|text| check.line("name", &text, 0, MAX_NAME))
        .unwrap_or_default();
    check.done()?;
    let good_for = match sent.expires_in {
        None => GOOD_FOR,
        Some(seconds) if EXPIRES_IN.contains(&seconds) => {
            Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
        }
        Some(_) => {
            let problem = "send seconds, from a minute (60) to ninety days (7776000)";
            return Err(Error::field("expires_in", problem).into());
        }
    };
    let secret = random_secret();
    let hash = api
        .keys
        .hash_secret(Purpose::Invite, secret.expose().as_bytes());
    let mut entry = from.audit_by(&standing, "invite.created");
    entry.subject = Some(format!("stream/{}", stream.id));
    let friends = api.database.friends();
    let now = OffsetDateTime::now_utc();
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let invite = friends
        .invite(stream.id, called, hash, now + good_for, entry)
        .await?;
    let links = Links::of(&headers, &api.settings);
    let answer = CreatedInvite {
        invite: invite.into(),
        link: format!("{}/join#{}", links.pages(), secret.expose()),
    };
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// The invites of one's stream, newest first.
#[utoipa::path(get, path = "/api/v1/streams/{stream}/invites", tag = "friends", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"), Page),
    responses((status = 200, body = List<InviteView>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): Shared,
    User(standing): User,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Answer<List<InviteView>>, Problem> {
    let stream = api.own(&name, &standing).await?;
    let (after, limit) = (page.after()?, page.limit()?);
    let friends = api.database.friends();
    let invites = friends.invites(stream.id, after, limit).await?;
    let key = |invite: &Invite| invite.id.to_string();
    Ok(Answer(List::page(invites, limit, key, InviteView::from)))
}

/// Revoke an invite that nobody used.
#[utoipa::path(delete, path = "/api/v1/streams/{stream}/invites/{invite}", tag = "friends",
    security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"), ("invite" = uuid::Uuid, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn revoke(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Path((name, invite)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let stream = api.own(&name, &standing).await?;
    let missing = || Error::NotFound("open invite; if it was used, remove the friend instead");
    let invite: InviteId = invite.parse().map_err(|_| missing())?;
    let mut entry = from.audit_by(&standing, "invite.revoked");
    entry.subject = Some(format!("stream/{}", stream.id));
    let friends = api.database.friends();
    if !friends.revoke_invite(stream.id, invite, entry).await? {
        return Err(missing().into());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The secret of an invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookAtInvite {
    /// What stands behind the link's `#`.
    invite: String,
}

/// The stream of an invite.
#[derive(Serialize, ToSchema)]
struct InvitedTo {
    #[schema(value_type = String)]
    slug: Slug,
    title: String,
}

/// An invite, as who holds it sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SeenInvite {
    stream: InvitedTo,
    /// Who invites.
    streamer: String,
    /// For whom; may be empty.
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// The node's program, for the systems it is offered for.
    downloads: Vec<Download>,
}

/// Look at an invite without using it.
#[utoipa::path(post, path = "/api/v1/invites/look", tag = "friends", request_body = LookAtInvite,
    responses((status = 200, body = SeenInvite), (status = "4XX", body = Problem)))]
pub(crate) async fn look(
    State(api): Shared,
    headers: HeaderMap,
    Json(sent): Json<LookAtInvite>,
) -> Result<Answer<SeenInvite>, Problem> {
    let missing =
        || Error::NotFound("invite, or it was used, revoked, or ran out; ask for a new one");
    let secret = sent_secret(&sent.invite).ok_or_else(missing)?;
    let hash = api
        .keys
        .hash_secret(Purpose::Invite, secret.expose().as_bytes());
    let invite = api.database.friends().open_invite(hash).await?;
    let invite = invite.ok_or_else(missing)?;
    let stream = api.database.streams().by_id(invite.stream).await?;
    let stream = stream.ok_or_else(missing)?;
    let streamer = api.owner_name(&stream).await?;
    let links = Links::of(&headers, &api.settings);
    Ok(Answer(SeenInvite {
        stream: InvitedTo {
            slug: stream.slug,
            title: stream.title,
        },
        streamer: streamer.unwrap_or_default(),
        name: invite.name,
        expires_at: invite.expires_at,
        downloads: downloads::offered(&api.settings.downloads, links.pages()).await,
    }))
}
