//! The public REST API under `/api/v1`, and its description.
//!
//! Owns HTTP: who calls, how often, in what form, and as what each failure is told. What is done is done
//! by `accounts`, `access` and the repositories.

mod admin;
mod air;
mod audit;
mod auth;
mod caller;
mod cookies;
mod delivery;
mod downloads;
mod events;
mod extract;
mod friends;
mod gate;
mod health;
mod history;
mod idempotency;
mod instance;
mod invites;
mod links;
mod me;
mod openapi;
mod page;
mod problem;
mod receipts;
mod sessions;
mod shares;
mod stream;
mod streams;
mod supporters;
mod totp;
mod users;

use std::{sync::Arc, time::Duration};

use ::events::Nudge;
use axum::{Router, extract::DefaultBodyLimit, http::StatusCode, middleware};
use cache::Cache;
pub(crate) use links::Links;
pub(crate) use receipts::SentReceipts;
use storage::Database;
use tower_http::{cors::CorsLayer, timeout::TimeoutLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Error, KeyRing, Settings, accounts::Accounts, feeds::Feeds, history::Histories, live::Live,
    registry::Registry, settings::RuntimeSettings, swarm::Swarm,
};
pub(crate) use problem::Problem;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The largest body of a request.
const MAX_BODY: usize = 64 * 1024;

/// What the API works with.
pub(crate) struct Api {
    pub(crate) database: Database,
    pub(crate) cache: Cache,
    pub(crate) live: Arc<Live>,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    pub(crate) runtime: RuntimeSettings,
    pub(crate) accounts: Accounts,
    pub(crate) keys: KeyRing,
    pub(crate) feeds: Feeds,
    pub(crate) histories: Histories,
    /// Wakes the outbox's relay after a change.
    pub(crate) nudge: Nudge,
    pub(crate) swarm: Swarm,
}

pub(crate) type Shared = axum::extract::State<Arc<Api>>;

/// What everybody may read, from any page (embeds).
fn open_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(instance::read))
        .routes(routes!(auth::jwks))
}

fn people_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(auth::set_up))
        .routes(routes!(auth::register))
        .routes(routes!(auth::log_in))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::log_out))
        .routes(routes!(auth::log_out_everywhere))
        .routes(routes!(auth::forgot))
        .routes(routes!(auth::reset))
        .routes(routes!(me::read, me::change, me::delete))
        .routes(routes!(me::change_password))
        .routes(routes!(me::logins))
        .routes(routes!(me::end_login))
        .routes(routes!(me::audit))
        .routes(routes!(totp::propose, totp::disable))
        .routes(routes!(totp::confirm))
}

fn stream_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(streams::list, streams::create))
        .routes(routes!(streams::read, streams::change, streams::delete))
        .routes(routes!(air::new_key))
        .routes(routes!(air::move_to))
        .routes(routes!(sessions::open, sessions::list))
        .routes(routes!(sessions::revoke))
        .routes(routes!(shares::list, shares::create))
        .routes(routes!(shares::revoke))
        .routes(routes!(invites::list, invites::create))
        .routes(routes!(invites::revoke))
        .routes(routes!(invites::look))
        .routes(routes!(friends::list))
        .routes(routes!(friends::change, friends::remove))
        .routes(routes!(friends::message))
        .routes(routes!(delivery::read))
        .routes(routes!(supporters::read))
        .routes(routes!(receipts::accept))
        .routes(routes!(receipts::report))
        .routes(routes!(health::read))
        .routes(routes!(history::read))
}

fn admin_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(users::list))
        .routes(routes!(users::change))
        .routes(routes!(users::reset_link))
        .routes(routes!(users::invitations, users::invite))
        .routes(routes!(users::withdraw))
        .routes(routes!(admin::services))
        .routes(routes!(admin::settings, admin::change_settings))
        .routes(routes!(admin::flags))
        .routes(routes!(admin::switch_flag))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
}

/// The routes and their description.
fn described() -> (Router<Arc<Api>>, serde_json::Value) {
    let (open, open_document) = open_routes().split_for_parts();
    // No cookie is ever sent along: what any page may read this way, it may read without a browser.
    let open = open.layer(CorsLayer::new().allow_origin(tower_http::cors::Any));
    let timed = people_routes()
        .merge(stream_routes())
        .merge(admin_routes())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            TIMEOUT,
        ));
    // A listener stays: no time-out.
    let lasting = OpenApiRouter::new()
        .routes(routes!(events::listen))
        .routes(routes!(receipts::listen));
    let (routes, mut document) = timed.merge(lasting).split_for_parts();
    document.merge(open_document);
    (routes.merge(open), openapi::complete(document))
}

/// The description of the API.
#[cfg(test)]
pub(crate) fn document() -> serde_json::Value {
    described().1
}

/// The routes.
pub(crate) fn routes(api: Api) -> Router {
    let (routes, document) = described();
    let api = Arc::new(api);
    let unknown = async || Problem::from(Error::NotFound("path; /api/docs describes the API"));
    let wrong_method = async || Problem::method_not_allowed();
    routes
        .merge(openapi::routes(&document))
        .route("/downloads/{file}", axum::routing::get(downloads::download))
        .route("/api/{*rest}", axum::routing::any(unknown))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&api),
            idempotency::remember,
        ))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), gate::pass))
        .with_state(api)
}
