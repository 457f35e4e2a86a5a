//! Services, settings and feature flags, for who runs the server.

use axum::{
    Json as Answer,
    extract::{Path, State},
};
use proto::coordinator::ServiceKind;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use types::{Flag, Registration};
use utoipa::ToSchema;

use super::{
    Api, Problem, Shared,
    caller::{Admin, From},
    extract::{Check, Json},
    page::List,
    stream::Person,
};
use crate::{Error, settings::FlagState};

/// A service that reported within the last seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceView {
    /// The running process.
    instance: String,
    /// `coordinator`, `ingest`, `origin`, `edge`.
    kinds: Vec<&'static str>,
    /// Where its gRPC answers.
    address: String,
    /// Viewers it serves now.
    viewers: u32,
}

/// Which services run.
#[utoipa::path(get, path = "/api/v1/admin/services", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = List<ServiceView>), (status = "4XX", body = Problem)))]
pub(crate) async fn services(State(api): Shared, _admin: Admin) -> Answer<List<ServiceView>> {
    let present = api.registry.instances();
    let services = present.iter().map(|known| ServiceView {
        instance: known.instance_id.clone(),
        kinds: known.kinds().map(kind_name).collect(),
        address: known.address.clone(),
        viewers: known.viewers.iter().map(|count| count.viewers).sum(),
    });
    Answer(List::whole(services.collect()))
}

fn kind_name(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Coordinator => "coordinator",
        ServiceKind::Ingest => "ingest",
        ServiceKind::Origin => "origin",
        ServiceKind::Edge => "edge",
        ServiceKind::Unspecified => "unknown",
    }
}

/// What an admin sets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsView {
    /// Who may make an account: `open`, `invitation` or `closed`.
    #[schema(value_type = String)]
    registration: Registration,
}

/// What is set.
#[utoipa::path(get, path = "/api/v1/admin/settings", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = SettingsView), (status = "4XX", body = Problem)))]
pub(crate) async fn settings(State(api): Shared, _admin: Admin) -> Answer<SettingsView> {
    Answer(SettingsView {
        registration: api.runtime.registration(),
    })
}

/// What is to be another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeSettings {
    /// `open`, `invitation` or `closed`.
    registration: String,
}

/// Change who may make an account.
#[utoipa::path(patch, path = "/api/v1/admin/settings", tag = "admin", security(("bearer" = [])),
    request_body = ChangeSettings,
    responses((status = 200, body = SettingsView), (status = "4XX", body = Problem)))]
pub(crate) async fn change_settings(
    State(api): Shared,
    Admin(admin): Admin,
    From(from): From,
    Json(sent): Json<ChangeSettings>,
) -> Result<Answer<SettingsView>, Problem> {
    let mut check = Check::default();
    let wanted: Option<Registration> = check.value("registration", &sent.registration);
    check.done()?;
    if let Some(registration) = wanted {
        let mut entry = from.audit_by(&admin, "setting.changed");
        entry.subject = Some("setting/registration".to_owned());
        entry.detail = Some(serde_json::json!({ "value": registration }).to_string());
        api.runtime
            .set_registration(registration, admin.user, entry)
            .await?;
        api.nudge.nudge();
    }
    Ok(Answer(SettingsView {
        registration: api.runtime.registration(),
    }))
}

/// A feature flag.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlagView {
    #[schema(value_type = String)]
    name: Flag,
    /// What switching it does.
    description: &'static str,
    enabled: bool,
    /// What holds while nobody has switched it.
    default: bool,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    updated_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<Person>,
}

async fn view(api: &Api, state: FlagState) -> Result<FlagView, Error> {
    let by = state
        .changed
        .as_ref()
        .and_then(|changed| changed.updated_by);
    let updated_by = match by {
        Some(id) => {
            let names = api.database.users().names(&[id]).await?;
            names
                .into_iter()
                .next()
                .map(|(id, name)| Person { id, name })
        }
        None => None,
    };
    Ok(FlagView {
        name: state.flag,
        description: state.flag.description(),
        enabled: state.enabled,
        default: state.flag.default_value(),
        updated_at: state.changed.map(|changed| changed.updated_at),
        updated_by,
    })
}

/// The feature flags.
#[utoipa::path(get, path = "/api/v1/admin/flags", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = List<FlagView>), (status = "4XX", body = Problem)))]
pub(crate) async fn flags(
    State(api): Shared,
    _admin: Admin,
) -> Result<Answer<List<FlagView>>, Problem> {
    let mut views = Vec::with_capacity(Flag::ALL.len());
    for flag in Flag::ALL {
        views.push(view(&api, api.runtime.flag(*flag)).await?);
    }
    Ok(Answer(List::whole(views)))
}

/// On or off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchFlag {
    enabled: bool,
}

/// Switch a flag; every service sees it within a second.
#[utoipa::path(put, path = "/api/v1/admin/flags/{flag}", tag = "admin", security(("bearer" = [])),
    params(("flag" = String, Path)), request_body = SwitchFlag,
    responses((status = 200, body = FlagView), (status = "4XX", body = Problem)))]
pub(crate) async fn switch_flag(
    State(api): Shared,
    Admin(admin): Admin,
    From(from): From,
    Path(name): Path<String>,
    Json(sent): Json<SwitchFlag>,
) -> Result<Answer<FlagView>, Problem> {
    let flag: Flag = name.parse().map_err(|_| Error::NotFound("flag"))?;
    let mut entry = from.audit_by(&admin, "flag.changed");
    entry.subject = Some(format!("flag/{flag}"));
    entry.detail = Some(serde_json::json!({ "enabled": sent.enabled }).to_string());
    api.runtime
        .set_flag(flag, sent.enabled, admin.user, entry)
        .await?;
    api.nudge.nudge();
    Ok(Answer(view(&api, api.runtime.flag(flag)).await?))
}
