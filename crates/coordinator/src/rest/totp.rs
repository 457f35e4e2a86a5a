//! The second factor of one's own account.

use axum::{Json as Answer, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Problem, Shared,
    caller::{From, User},
    extract::Json,
    me::Confirm,
};
use crate::accounts::Proposal;

/// A secret for an authenticator.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotpProposal {
    /// Base32, to be typed.
    secret: String,
    /// To be shown as a QR code.
    otpauth_url: String,
}

/// Make a secret for an authenticator. It counts once a code of it is confirmed.
#[utoipa::path(post, path = "/api/v1/me/totp", tag = "me", security(("bearer" = [])), request_body = Confirm,
    responses((status = 200, body = TotpProposal), (status = "4XX", body = Problem)))]
pub(crate) async fn propose(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Json(sent): Json<Confirm>,
) -> Result<Answer<TotpProposal>, Problem> {
    let user = api
        .accounts
        .confirm(&standing, &sent.password, &from)
        .await?;
    let Proposal {
        secret,
        otpauth_url,
    } = api.accounts.propose_totp(&user).await?;
    Ok(Answer(TotpProposal {
        secret,
        otpauth_url,
    }))
}

/// A code of the authenticator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmTotp {
    /// Six digits.
    #[schema(pattern = "^[0-9]{6}$")]
    code: String,
}

/// What lets one in without the authenticator, each once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// Shown only now.
    recovery_codes: Vec<String>,
}

/// Ask for codes from now on.
#[utoipa::path(post, path = "/api/v1/me/totp/confirm", tag = "me", security(("bearer" = [])),
    request_body = ConfirmTotp,
    responses((status = 200, body = RecoveryCodes), (status = "4XX", body = Problem)))]
pub(crate) async fn confirm(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Json(sent): Json<ConfirmTotp>,
) -> Result<Answer<RecoveryCodes>, Problem> {
    let codes = api
        .accounts
        .confirm_totp(&standing, &sent.code, &from)
        .await?;
    let shown = codes.iter().map(|code| code.expose().clone());
    Ok(Answer(RecoveryCodes {
        recovery_codes: shown.collect(),
    }))
}

/// Ask for codes no more.
#[utoipa::path(delete, path = "/api/v1/me/totp", tag = "me", security(("bearer" = [])), request_body = Confirm,
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn disable(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Json(sent): Json<Confirm>,
) -> Result<StatusCode, Problem> {
    let user = api
        .accounts
        .confirm(&standing, &sent.password, &from)
        .await?;
    let mut entry = from.audit_by(&standing, "totp.disabled");
    entry.subject = Some(format!("user/{}", user.id));
    api.database.users().disable_totp(user.id, entry).await?;
    Ok(StatusCode::NO_CONTENT)
}
