//! Making an account, logging in and out, and forgotten passwords.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use types::Secret;
use utoipa::ToSchema;

use super::{
    Api, Links, Problem, Shared,
    caller::{From, User},
    cookies,
    extract::{Check, Json},
    me::UserView,
};
use crate::{
    Error,
    accounts::{self, LoggedIn},
};

/// The longest display name, in characters.
pub(crate) const MAX_NAME: usize = 60;

/// Who logged in, and a token for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoginAnswer {
    /// Send it as a bearer token.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds until it is worth nothing.
    expires_in: u64,
    /// Who logged in.
    user: UserView,
}

fn logged_in(api: &Api, status: StatusCode, logged_in: LoggedIn) -> Response {
    let mut headers = HeaderMap::new();
    cookies::set(&mut headers, &api.settings, &logged_in);
    let answer = LoginAnswer {
        access_token: logged_in.access.expose().clone(),
        token_type: "Bearer",
        expires_in: accounts::ACCESS_LIFETIME.as_secs(),
        user: UserView::from(logged_in.user),
    };
    (status, headers, Answer(answer)).into_response()
}

/// The owner's account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetUp {
    /// From the one-time link.
    token: String,
    #[schema(format = Email)]
    email: String,
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    password: Secret<String>,
    #[schema(max_length = 60)]
    display_name: Option<String>,
}

fn display_name(name: Option<&String>) -> Result<Option<String>, Error> {
    let mut check = Check::default();
    let name = name.map(|name| check.line("display_name", name, 0, MAX_NAME));
    check.done()?;
    Ok(name)
}

/// Make the owner's account, once, with the one-time token that the terminal shows.
#[utoipa::path(post, path = "/api/v1/auth/setup", tag = "auth", request_body = SetUp,
    responses((status = 201, body = LoginAnswer), (status = "4XX", body = Problem)))]
pub(crate) async fn set_up(
    State(api): Shared,
    From(from): From,
    Json(sent): Json<SetUp>,
) -> Result<Response, Problem> {
    let name = display_name(sent.display_name.as_ref())?;
    let owner = api
        .accounts
        .set_up(
            &sent.token,
            &sent.email,
            &sent.password,
            name.as_deref(),
            &from,
        )
        .await?;
    Ok(logged_in(&api, StatusCode::CREATED, owner))
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Register {
    #[schema(format = Email)]
    email: String,
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    password: Secret<String>,
    #[schema(max_length = 60)]
    display_name: Option<String>,
    /// From the invitation's link.
    invitation: Option<String>,
}

/// The address that may log in now.
#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    email: String,
}

/// Make an account. An address that has one is answered the same: nobody can ask who is registered.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = Register,
    responses((status = 201, body = Registered), (status = "4XX", body = Problem)))]
pub(crate) async fn register(
    State(api): Shared,
    From(from): From,
    Json(sent): Json<Register>,
) -> Result<(StatusCode, Answer<Registered>), Problem> {
    let application = accounts::Application {
        display_name: display_name(sent.display_name.as_ref())?,
        email: sent.email,
        password: sent.password,
        invitation: sent.invitation,
    };
    let email = api.accounts.register(application, &from).await?;
    Ok((StatusCode::CREATED, Answer(Registered { email })))
}

/// Who wants to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogIn {
    #[schema(format = Email)]
    email: String,
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
    /// The authenticator's six digits, or a recovery code; asked for with the code `totp_required`.
    totp: Option<String>,
}

/// Log in. Sets the refresh cookie.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LogIn,
    responses((status = 200, body = LoginAnswer), (status = "4XX", body = Problem)))]
pub(crate) async fn log_in(
    State(api): Shared,
    From(from): From,
    Json(sent): Json<LogIn>,
) -> Result<Response, Problem> {
    let credentials = accounts::Credentials {
        email: sent.email,
        password: sent.password,
        totp: sent.totp,
    };
    let user = api.accounts.log_in(credentials, &from).await?;
    Ok(logged_in(&api, StatusCode::OK, user))
}

/// Exchange the refresh cookie for a new one and an access token. Using an old one ends the log-in.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", security(("refresh" = [])),
    responses((status = 200, body = LoginAnswer), (status = "4XX", body = Problem)))]
pub(crate) async fn refresh(State(api): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    cookies::same_site(&headers)?;
    let token = cookies::read(&headers, cookies::REFRESH).ok_or(Error::LoggedOut)?;
    match api.accounts.refresh(&token).await {
        Ok(user) => Ok(logged_in(&api, StatusCode::OK, user)),
        Err(error) => {
            let over = matches!(error, Error::LoggedOut);
            let mut response = Problem::from(error).into_response();
            if over {
                cookies::clear(response.headers_mut(), &api.settings);
            }
            Ok(response)
        }
    }
}

/// End this log-in. One that is over already is no error.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", security((), ("refresh" = [])),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn log_out(
    State(api): Shared,
    From(from): From,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    cookies::same_site(&headers)?;
    if let Some(token) = cookies::read(&headers, cookies::REFRESH) {
        api.accounts.log_out(&token, &from).await?;
    }
    let mut answer = HeaderMap::new();
    cookies::clear(&mut answer, &api.settings);
    Ok((StatusCode::NO_CONTENT, answer).into_response())
}

/// End every log-in of the caller; access tokens are worth nothing at once.
#[utoipa::path(post, path = "/api/v1/auth/logout-everywhere", tag = "auth", security(("bearer" = [])),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn log_out_everywhere(
    State(api): Shared,
    User(standing): User,
    From(from): From,
) -> Result<Response, Problem> {
    let mut entry = from.audit_by(&standing, "logout.everywhere");
    entry.subject = Some(format!("user/{}", standing.user));
    let users = api.database.users();
    users.log_out_everywhere(standing.user, entry).await?;
    api.accounts.standings.forget();
    let mut answer = HeaderMap::new();
    cookies::clear(&mut answer, &api.settings);
    Ok((StatusCode::NO_CONTENT, answer).into_response())
}

/// Whose password is forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forgot {
    #[schema(format = Email)]
    email: String,
}

/// Ask for a link to set a new password. Answers the same whoever has an account.
#[utoipa::path(post, path = "/api/v1/auth/password/forgot", tag = "auth", request_body = Forgot,
    responses((status = 202), (status = "4XX", body = Problem)))]
pub(crate) async fn forgot(
    State(api): Shared,
    From(from): From,
    headers: HeaderMap,
    Json(sent): Json<Forgot>,
) -> Result<StatusCode, Problem> {
    let links = Links::of(&headers, &api.settings);
    let link = |secret: &str| format!("{}/reset#{secret}", links.mailed());
    api.accounts.forgot(&sent.email, link, &from).await?;
    Ok(StatusCode::ACCEPTED)
}

/// A new password, by a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    /// From the link.
    token: String,
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    password: Secret<String>,
}

/// Set a new password with the token of a link; ends every log-in.
#[utoipa::path(post, path = "/api/v1/auth/password/reset", tag = "auth", request_body = Reset,
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn reset(
    State(api): Shared,
    From(from): From,
    Json(sent): Json<Reset>,
) -> Result<StatusCode, Problem> {
    api.accounts
        .reset(&sent.token, &sent.password, &from)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The keys that access tokens are verified with (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn jwks(State(api): Shared) -> Response {
    let keys = api.accounts.signing.access_keys().jwks();
    let cache = [("cache-control", "public, max-age=60")];
    (cache, Answer(keys)).into_response()
}
