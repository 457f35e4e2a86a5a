//! Share links: lasting, revocable, shown once.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use storage::ShareLink;
use time::OffsetDateTime;
use types::ShareLinkId;
use utoipa::ToSchema;

use super::{
    Links, Problem, Shared,
    caller::{From, User},
    extract::{Check, Json},
    page::List,
};
use crate::{
    Error,
    keys::{Purpose, random_secret},
};

/// The longest label, in characters.
const MAX_LABEL: usize = 60;

/// A share link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShareView {
    #[schema(value_type = uuid::Uuid)]
    id: ShareLinkId,
    label: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it last let somebody in.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    last_used_at: Option<OffsetDateTime>,
}

impl std::convert::From<ShareLink> for ShareView {
    fn from(link: ShareLink) -> Self {
        Self {
            id: link.id,
            label: link.label,
            created_at: link.created_at,
            last_used_at: link.last_used_at,
        }
    }
}

/// The links of one's stream, newest first.
#[utoipa::path(get, path = "/api/v1/streams/{stream}/links", tag = "watching", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name")),
    responses((status = 200, body = List<ShareView>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): Shared,
    User(standing): User,
    Path(name): Path<String>,
) -> Result<Answer<List<ShareView>>, Problem> {
    let stream = api.own(&name, &standing).await?;
    let links = api.database.shares().of(stream.id).await?;
    let views = links.into_iter().map(ShareView::from).collect();
    Ok(Answer(List::whole(views)))
}

/// A link to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateShare {
    /// For whom, or for what.
    #[schema(min_length = 1, max_length = 60)]
    label: String,
}

/// A link with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedShare {
    #[serde(flatten)]
    link: ShareView,
    /// Shown only now.
    secret: String,
    /// The address to share; the secret stands behind the `#`, which browsers send nowhere.
    url: String,
}

/// Make a link that lets whoever holds it watch. Its secret is shown only in this answer.
#[utoipa::path(post, path = "/api/v1/streams/{stream}/links", tag = "watching", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"),
        ("Idempotency-Key" = Option<String>, Header, description = "8 to 128 printable characters", min_length = 8, max_length = 128)),
    request_body = CreateShare,
    responses((status = 201, body = CreatedShare), (status = "4XX", body = Problem)))]
pub(crate) async fn create(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    headers: HeaderMap,
    Path(name): Path<String>,
    Json(sent): Json<CreateShare>,
) -> Result<(StatusCode, Answer<CreatedShare>), Problem> {
    let stream = api.own(&name, &standing).await?;
    let mut check = Check::default();
    let label = check.line("label", &sent.label, 1, MAX_LABEL);
    check.done()?;
    let secret = random_secret();
    let hash = api
        .keys
        .hash_secret(Purpose::Share, secret.expose().as_bytes());
    let mut entry = from.audit_by(&standing, "link.created");
    entry.subject = Some(format!("stream/{}", stream.id));
    let shares = api.database.shares();
    let link = shares.create(stream.id, label, hash, entry).await?;
    let links = Links::of(&headers, &api.settings);
    let url = format!(
        "{}/watch/{}#share={}",
        links.pages(),
        stream.slug,
        secret.expose()
    );
    let answer = CreatedShare {
        link: link.into(),
        secret: secret.expose().clone(),
        url,
    };
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// Revoke a link; whoever watches by it is cut off.
#[utoipa::path(delete, path = "/api/v1/streams/{stream}/links/{link}", tag = "watching",
    security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"), ("link" = uuid::Uuid, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn revoke(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Path((name, link)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let stream = api.own(&name, &standing).await?;
    let missing = || Error::NotFound("share link");
    let link: ShareLinkId = link.parse().map_err(|_| missing())?;
    let mut entry = from.audit_by(&standing, "link.revoked");
    entry.subject = Some(format!("stream/{}", stream.id));
    if !api.database.shares().revoke(stream.id, link, entry).await? {
        return Err(missing().into());
    }
    api.nudge.nudge();
    Ok(StatusCode::NO_CONTENT)
}
