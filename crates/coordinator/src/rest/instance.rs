//! What anybody may know of this server.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, Problem};

/// This server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Instance {
    /// Always `Streamr`.
    name: &'static str,
    /// The program's version.
    version: &'static str,
    /// Nobody made the owner's account yet.
    setup_required: bool,
    /// Who may make an account: `open`, `invitation` or `closed`.
    #[schema(value_type = String)]
    registration: types::Registration,
    /// Whether mail is sent; otherwise an admin hands out links.
    mail: bool,
}

/// What this server is and lets strangers do.
#[utoipa::path(get, path = "/api/v1/instance", tag = "instance", responses((status = 200, body = Instance)))]
pub(crate) async fn read(State(api): State<Arc<Api>>) -> Result<Json<Instance>, Problem> {
    Ok(Json(Instance {
        name: "Streamr",
        version: env!("CARGO_PKG_VERSION"),
        setup_required: api.accounts.setup_required().await?,
        registration: api.runtime.registration(),
        mail: api.accounts.mailer.is_set(),
    }))
}
