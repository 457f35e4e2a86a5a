//! One's own account.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use storage::{AuditFilter, Login};
use time::OffsetDateTime;
use types::{LoginId, Role, Secret, UserId};
use utoipa::ToSchema;

use super::{
    Problem, Shared,
    audit::{AuditView, page_of},
    auth::MAX_NAME,
    caller::{From, User},
    extract::{Check, Json, Query},
    page::{List, Page},
};
use crate::{Error, accounts};

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: UserId,
    #[schema(format = Email)]
    email: String,
    display_name: String,
    /// `streamer`, `friend` or `admin`.
    #[schema(value_type = String)]
    role: Role,
    /// Whether logging in asks for a code.
    totp: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    banned_at: Option<OffsetDateTime>,
}

impl std::convert::From<storage::User> for UserView {
    fn from(user: storage::User) -> Self {
        Self {
            id: user.id,
            email: user.email.unwrap_or_default(),
            display_name: user.display_name,
            role: user.role,
            totp: user.totp_enabled,
            created_at: user.created_at,
            banned_at: user.banned_at,
        }
    }
}

/// Who is calling.
#[utoipa::path(get, path = "/api/v1/me", tag = "me", security(("bearer" = [])),
    responses((status = 200, body = UserView), (status = "4XX", body = Problem)))]
pub(crate) async fn read(
    State(api): Shared,
    User(standing): User,
) -> Result<Answer<UserView>, Problem> {
    let user = api.database.users().by_id(standing.user).await?;
    Ok(Answer(user.ok_or(Error::LoggedOut)?.into()))
}

/// What may be changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeMe {
    #[schema(min_length = 1, max_length = 60)]
    display_name: String,
}

/// Change the name others see.
#[utoipa::path(patch, path = "/api/v1/me", tag = "me", security(("bearer" = [])), request_body = ChangeMe,
    responses((status = 200, body = UserView), (status = "4XX", body = Problem)))]
pub(crate) async fn change(
    State(api): Shared,
    User(standing): User,
    Json(sent): Json<ChangeMe>,
) -> Result<Answer<UserView>, Problem> {
    let mut check = Check::default();
    let name = check.line("display_name", &sent.display_name, 1, MAX_NAME);
    check.done()?;
    let user = api.database.users().rename(standing.user, &name).await?;
    api.accounts.standings.forget();
    Ok(Answer(user.into()))
}

/// The password once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    #[schema(value_type = String, format = Password)]
    pub(crate) password: Secret<String>,
}

/// Delete the account and its streams. What is personal goes; the books stay.
#[utoipa::path(delete, path = "/api/v1/me", tag = "me", security(("bearer" = [])), request_body = Confirm,
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn delete(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Json(sent): Json<Confirm>,
) -> Result<StatusCode, Problem> {
    let user = api
        .accounts
        .confirm(&standing, &sent.password, &from)
        .await?;
    let mut entry = from.audit_by(&standing, "user.deleted");
    entry.subject = Some(format!("user/{}", user.id));
    entry.network = None;
    api.database.users().delete(user.id, entry).await?;
    api.nudge.nudge();
    api.accounts.standings.forget();
    Ok(StatusCode::NO_CONTENT)
}

/// A new password, and the one until now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    #[schema(value_type = String, format = Password)]
    current: Secret<String>,
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    new: Secret<String>,
}

/// Change the password; every other log-in ends.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "me", security(("bearer" = [])),
    request_body = ChangePassword, responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn change_password(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Json(sent): Json<ChangePassword>,
) -> Result<StatusCode, Problem> {
    let confirmed = api.accounts.confirm(&standing, &sent.current, &from).await;
    let user = confirmed.map_err(|error| match error {
        Error::Fields { .. } => Error::field("current", "this is not your password"),
        other => other,
    })?;
    accounts::check_password(sent.new.expose(), user.email.as_deref().unwrap_or(""))
        .map_err(|problem| Error::field("new", &problem))?;
    let password = api.accounts.passwords.hash(&sent.new).await?;
    let mut entry = from.audit_by(&standing, "password.changed");
    entry.subject = Some(format!("user/{}", user.id));
    let users = api.database.users();
    users
        .set_password(user.id, &password, Some(standing.login), entry)
        .await?;
    api.accounts.standings.forget();
    Ok(StatusCode::NO_CONTENT)
}

/// A log-in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoginView {
    #[schema(value_type = uuid::Uuid)]
    id: LoginId,
    /// Whether it is the one that asks.
    current: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_used_at: OffsetDateTime,
    /// What the browser said it is.
    user_agent: String,
    /// Where it came from: an address without its last part.
    network: String,
}

/// Where one is logged in.
#[utoipa::path(get, path = "/api/v1/me/logins", tag = "me", security(("bearer" = [])),
    responses((status = 200, body = List<LoginView>), (status = "4XX", body = Problem)))]
pub(crate) async fn logins(
    State(api): Shared,
    User(standing): User,
) -> Result<Answer<List<LoginView>>, Problem> {
    let logins = api.database.logins().of(standing.user).await?;
    let view = |login: Login| LoginView {
        current: login.id == standing.login,
        id: login.id,
        created_at: login.created_at,
        last_used_at: login.last_used_at,
        user_agent: login.user_agent,
        network: login.network,
    };
    Ok(Answer(List::whole(logins.into_iter().map(view).collect())))
}

/// End one log-in.
#[utoipa::path(delete, path = "/api/v1/me/logins/{login}", tag = "me", security(("bearer" = [])),
    params(("login" = uuid::Uuid, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn end_login(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Path(login): Path<String>,
) -> Result<StatusCode, Problem> {
    let missing = || Error::NotFound("log-in");
    let login: LoginId = login.parse().map_err(|_| missing())?;
    let mut entry = from.audit_by(&standing, "login.ended");
    entry.subject = Some(format!("user/{}", standing.user));
    if !api
        .database
        .logins()
        .end(standing.user, login, entry)
        .await?
    {
        return Err(missing().into());
    }
    api.accounts.standings.forget();
    Ok(StatusCode::NO_CONTENT)
}

/// What one did, and what was done to one's account; newest first.
#[utoipa::path(get, path = "/api/v1/me/audit", tag = "me", security(("bearer" = [])), params(Page),
    responses((status = 200, body = List<AuditView>), (status = "4XX", body = Problem)))]
pub(crate) async fn audit(
    State(api): Shared,
    User(standing): User,
    Query(page): Query<Page>,
) -> Result<Answer<List<AuditView>>, Problem> {
    let filter = AuditFilter {
        about: Some(standing.user),
        action: None,
    };
    Ok(Answer(page_of(&api, &filter, &page).await?))
}
