//! The audit log, for who runs the server; and one's own part of it.

use axum::{
    Json as Answer,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::{Deserialize, Serialize};
use storage::{AuditEntry, AuditFilter, Order};
use time::OffsetDateTime;
use types::{AuditId, UserId};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api, Problem, Shared,
    caller::Admin,
    extract::Query,
    page::{List, Page},
    stream::Person,
};
use crate::Error;

/// Entries read at once for an export.
const CHUNK: u32 = 500;

/// An entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    #[schema(value_type = uuid::Uuid)]
    id: AuditId,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// Such as `key.changed`.
    action: String,
    /// Who did it; missing: a stranger, or the operator at the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Person>,
    /// What it was done to, such as `stream/<id>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Where it came from: an address without its last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
}

async fn views(api: &Api, entries: Vec<AuditEntry>) -> Result<Vec<AuditView>, Error> {
    let mut actors: Vec<UserId> = entries.iter().filter_map(|entry| entry.actor).collect();
    actors.sort_unstable();
    actors.dedup();
    let names = api.database.users().names(&actors).await?;
    let named = |id: UserId| Person {
        id,
        name: names
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, name)| name.clone())
            .unwrap_or_default(),
    };
    let view = |entry: AuditEntry| AuditView {
        id: entry.id,
        at: entry.at,
        action: entry.action,
        actor: entry.actor.map(named),
        subject: entry.subject,
        network: entry.network,
        detail: entry
            .detail
            .and_then(|detail| serde_json::from_str(&detail).ok()),
    };
    Ok(entries.into_iter().map(view).collect())
}

/// A page of the log, newest first.
pub(crate) async fn page_of(
    api: &Api,
    filter: &AuditFilter,
    page: &Page,
) -> Result<List<AuditView>, Error> {
    let (after, limit) = (page.after()?, page.limit()?);
    let log = api.database.audit();
    let entries = log.list(filter, Order::Newest, after, limit).await?;
    let next = entries
        .last()
        .filter(|_| entries.len() == limit as usize)
        .map(|entry| entry.id.to_string());
    Ok(List {
        items: views(api, entries).await?,
        next,
    })
}

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Of this action only.
    action: Option<String>,
    /// The `next` of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    after: Option<String>,
    /// Entries wanted, 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// Who did what, newest first.
#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "admin", security(("bearer" = [])), params(AuditQuery),
    responses((status = 200, body = List<AuditView>), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): Shared,
    _admin: Admin,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<List<AuditView>>, Problem> {
    let filter = AuditFilter {
        about: None,
        action: super::extract::plain("action", query.action)?,
    };
    let page = Page {
        after: query.after,
        limit: query.limit,
    };
    Ok(Answer(page_of(&api, &filter, &page).await?))
}

/// The whole log, an entry a line (NDJSON), oldest first.
#[utoipa::path(get, path = "/api/v1/admin/audit/export", tag = "admin", security(("bearer" = [])),
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = "4XX", body = Problem)))]
pub(crate) async fn export(State(api): Shared, _admin: Admin) -> Response {
    let chunks = stream::unfold(Some(None), move |after: Option<Option<AuditId>>| {
        let api = api.clone();
        async move {
            let after = after?;
            match chunk(&api, after).await {
                Ok((text, next)) => Some((Ok(text), next.map(Some))),
                Err(error) => Some((Err(error), None)),
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"streamr-audit.ndjson\"",
        ),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

async fn chunk(
    api: &Api,
    after: Option<AuditId>,
) -> Result<(String, Option<AuditId>), std::io::Error> {
    let failed = |error: Error| {
        metrics::counter!("streamr_audit_export_failures_total").increment(1);
        tracing::warn!(%error, "export of the audit log broke");
        std::io::Error::other("the audit log can't be read now")
    };
    let log = api.database.audit();
    let entries = log
        .list(&AuditFilter::default(), Order::Oldest, after, CHUNK)
        .await
        .map_err(|error| failed(error.into()))?;
    let next = entries
        .last()
        .filter(|_| entries.len() == CHUNK as usize)
        .map(|entry| entry.id);
    let mut text = String::new();
    for view in views(api, entries).await.map_err(failed)? {
        text.push_str(&serde_json::to_string(&view).unwrap_or_default());
        text.push('\n');
    }
    Ok((text, next))
}
