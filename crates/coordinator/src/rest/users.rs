//! Users and invitations, for who runs the server.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use storage::{Invitation, NewAudit};
use time::{Duration, OffsetDateTime};
use types::{InvitationId, Role, UserId};
use utoipa::{IntoParams, ToSchema};

use super::{
    Links, Problem, Shared,
    caller::{Admin, From},
    extract::{Check, Json, Query, plain},
    me::UserView,
    page::{List, Page},
};
use crate::{
    Error,
    accounts::{self, Request, Standing},
    keys::{Purpose, random_secret},
};

/// How long an invitation is good for.
const INVITED_FOR: Duration = Duration::days(7);

/// Which users.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// Whose address or name holds this.
    query: Option<String>,
    /// The `next` of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    after: Option<String>,
    /// Users wanted, 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// A user and how much is theirs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedUser {
    #[serde(flatten)]
    user: UserView,
    /// How many streams are theirs.
    streams: u64,
}

/// Who has an account.
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "admin", security(("bearer" = [])), params(UserQuery),
    responses((status = 200, body = List<ListedUser>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): Shared,
    _admin: Admin,
    Query(query): Query<UserQuery>,
) -> Result<Answer<List<ListedUser>>, Problem> {
    let page = Page {
        after: query.after,
        limit: query.limit,
    };
    let (after, limit) = (page.after()?, page.limit()?);
    let wanted = plain("query", query.query)?;
    let users = api.database.users();
    let users = users.list(wanted.as_deref(), after, limit).await?;
    let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
    let owned = api.database.streams().owned(&ids).await?;
    let key = |user: &storage::User| user.id.to_string();
    let list = List::page(users, limit, key, |user| ListedUser {
        streams: owned
            .iter()
            .find(|(id, _)| *id == user.id)
            .map_or(0, |(_, streams)| *streams),
        user: user.into(),
    });
    Ok(Answer(list))
}

/// What is to be another; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeUser {
    /// `streamer`, `friend` or `admin`.
    role: Option<String>,
    /// A ban ends every log-in and every stream.
    banned: Option<bool>,
}

fn found(id: &str) -> Result<UserId, Error> {
    id.parse().map_err(|_| Error::NotFound("user"))
}

fn about(from: &Request, admin: &Standing, user: UserId, action: &'static str) -> NewAudit {
    let mut entry = from.audit_by(admin, action);
    entry.subject = Some(format!("user/{user}"));
    entry
}

/// Change what an account is for, ban it, or lift a ban. Not one's own, and not the last admin's.
#[utoipa::path(patch, path = "/api/v1/admin/users/{user}", tag = "admin", security(("bearer" = [])),
    params(("user" = uuid::Uuid, Path)), request_body = ChangeUser,
    responses((status = 200, body = UserView), (status = "4XX", body = Problem)))]
pub(crate) async fn change(
    State(api): Shared,
    Admin(admin): Admin,
    From(from): From,
    Path(user): Path<String>,
    Json(sent): Json<ChangeUser>,
) -> Result<Answer<UserView>, Problem> {
    let id = found(&user)?;
    if id == admin.user {
        return Err(Error::Conflict("ask another admin to change your own account").into());
    }
    let mut check = Check::default();
    let role: Option<Role> = sent.role.and_then(|role| check.value("role", &role));
    check.done()?;
    let users = api.database.users();
    let known = users.by_id(id).await?;
    let mut user = known
        .filter(|user| user.deleted_at.is_none())
        .ok_or(Error::NotFound("user"))?;
    if let Some(role) = role.filter(|role| *role != user.role) {
        let mut entry = about(&from, &admin, id, "role.changed");
        entry.detail = Some(serde_json::json!({ "from": user.role, "to": role }).to_string());
        user = users.set_role(id, role, entry).await?;
    }
    if let Some(banned) = sent
        .banned
        .filter(|banned| *banned != user.banned_at.is_some())
    {
        let action = if banned {
            "user.banned"
        } else {
            "user.unbanned"
        };
        let entry = about(&from, &admin, id, action);
        user = users.set_banned(id, banned, entry).await?;
        api.nudge.nudge();
    }
    api.accounts.standings.forget();
    Ok(Answer(user.into()))
}

/// A link with which somebody sets a new password.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResetLink {
    url: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Make a link with which a user sets a new password, to be handed over.
#[utoipa::path(post, path = "/api/v1/admin/users/{user}/reset-link", tag = "admin", security(("bearer" = [])),
    params(("user" = uuid::Uuid, Path)),
    responses((status = 201, body = ResetLink), (status = "4XX", body = Problem)))]
pub(crate) async fn reset_link(
    State(api): Shared,
    Admin(admin): Admin,
    From(from): From,
    headers: HeaderMap,
    Path(user): Path<String>,
) -> Result<(StatusCode, Answer<ResetLink>), Problem> {
    let id = found(&user)?;
    let known = api.database.users().by_id(id).await?;
    known
        .filter(|user| user.deleted_at.is_none())
        .ok_or(Error::NotFound("user"))?;
    let entry = about(&from, &admin, id, "password.link");
    let (secret, expires_at) = api.accounts.reset_secret(id, entry).await?;
    let links = Links::of(&headers, &api.settings);
    let url = format!("{}/reset#{}", links.pages(), secret.expose());
    Ok((StatusCode::CREATED, Answer(ResetLink { url, expires_at })))
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvitationView {
    #[schema(value_type = uuid::Uuid)]
    id: InvitationId,
    /// For this address alone, if one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// What the account will be for.
    #[schema(value_type = String)]
    role: Role,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    used_at: Option<OffsetDateTime>,
}

impl std::convert::From<Invitation> for InvitationView {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email,
            role: invitation.role,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            used_at: invitation.used_at,
        }
    }
}

/// Invitations, newest first.
#[utoipa::path(get, path = "/api/v1/admin/invitations", tag = "admin", security(("bearer" = [])), params(Page),
    responses((status = 200, body = List<InvitationView>), (status = "4XX", body = Problem)))]
pub(crate) async fn invitations(
    State(api): Shared,
    _admin: Admin,
    Query(page): Query<Page>,
) -> Result<Answer<List<InvitationView>>, Problem> {
    let (after, limit) = (page.after()?, page.limit()?);
    let invitations = api.database.links().invitations(after, limit).await?;
    let key = |invitation: &Invitation| invitation.id.to_string();
    let list = List::page(invitations, limit, key, InvitationView::from);
    Ok(Answer(list))
}

/// An invitation to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invite {
    /// For this address alone; mailed to it where mail is sent.
    #[schema(format = Email)]
    email: Option<String>,
    /// `streamer` (the default), `friend` or `admin`.
    role: Option<String>,
}

/// An invitation with its link.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedInvitation {
    #[serde(flatten)]
    invitation: InvitationView,
    /// Shown only now.
    url: String,
}

/// Invite somebody to make an account. The link is shown only in this answer.
#[utoipa::path(post, path = "/api/v1/admin/invitations", tag = "admin", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "8 to 128 printable characters", min_length = 8, max_length = 128)),
    request_body = Invite,
    responses((status = 201, body = CreatedInvitation), (status = "4XX", body = Problem)))]
pub(crate) async fn invite(
    State(api): Shared,
    Admin(admin): Admin,
    From(from): From,
    headers: HeaderMap,
    Json(sent): Json<Invite>,
) -> Result<(StatusCode, Answer<CreatedInvitation>), Problem> {
    let mut check = Check::default();
    let role: Option<Role> = check.value("role", sent.role.as_deref().unwrap_or("streamer"));
    check.done()?;
    let email = match sent.email {
        Some(text) => Some(accounts::email(&text).ok_or_else(|| {
            Error::field("email", "write an e-mail address, such as ana@example.org")
        })?),
        None => None,
    };
    let secret = random_secret();
    let hash = api
        .keys
        .hash_secret(Purpose::Invitation, secret.expose().as_bytes());
    let entry = from.audit_by(&admin, "invitation.created");
    let links = api.database.links();
    let role = role.unwrap_or(Role::Streamer);
    let invitation = links
        .invite(admin.user, email.clone(), role, hash, INVITED_FOR, entry)
        .await?;
    let links = Links::of(&headers, &api.settings);
    let url = format!("{}/register#{}", links.pages(), secret.expose());
    if let Some(email) = email {
        api.accounts.mailer.invitation(&email, &url);
    }
    let answer = CreatedInvitation {
        invitation: invitation.into(),
        url,
    };
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// Take an invitation back.
#[utoipa::path(delete, path = "/api/v1/admin/invitations/{invitation}", tag = "admin",
    security(("bearer" = [])), params(("invitation" = uuid::Uuid, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn withdraw(
    State(api): Shared,
    Admin(admin): Admin,
    From(from): From,
    Path(invitation): Path<String>,
) -> Result<StatusCode, Problem> {
    let missing = || Error::NotFound("invitation");
    let id: InvitationId = invitation.parse().map_err(|_| missing())?;
    let entry = from.audit_by(&admin, "invitation.withdrawn");
    if !api.database.links().withdraw(id, entry).await? {
        return Err(missing().into());
    }
    Ok(StatusCode::NO_CONTENT)
}
