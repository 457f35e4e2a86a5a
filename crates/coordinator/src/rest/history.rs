//! A stream's past broadcasts, for its owner and for admins.

use axum::{
    Json as Answer,
    extract::{Path, State},
};
use serde::Serialize;
use storage::{BroadcastRecord, StreamTotals};
use time::OffsetDateTime;
use types::BroadcastId;
use utoipa::ToSchema;

use super::{
    Problem, Shared,
    caller::User,
    extract::Query,
    page::{List, Page},
};
use crate::{Error, access::Right};

/// A time on air.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BroadcastView {
    #[schema(value_type = uuid::Uuid)]
    id: BroadcastId,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    /// Missing while it lasts.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    ended_at: Option<OffsetDateTime>,
    /// The most viewers at once.
    peak_viewers: u32,
    /// Playback sessions opened.
    sessions: u64,
}

/// The sums over all broadcasts that are over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotalsView {
    broadcasts: u64,
    /// Time on air.
    live_seconds: u64,
    sessions: u64,
}

/// Past broadcasts and their sums.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct History {
    /// Newest first.
    items: Vec<BroadcastView>,
    /// Send it as `after` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    totals: TotalsView,
}

impl From<BroadcastRecord> for BroadcastView {
    fn from(record: BroadcastRecord) -> Self {
        Self {
            id: record.id,
            started_at: record.started_at,
            ended_at: record.ended_at,
            peak_viewers: record.peak_viewers,
            sessions: record.sessions,
        }
    }
}

impl From<StreamTotals> for TotalsView {
    fn from(totals: StreamTotals) -> Self {
        Self {
            broadcasts: totals.broadcasts,
            live_seconds: totals.live.as_secs(),
            sessions: totals.sessions,
        }
    }
}

/// The broadcasts of one's stream, newest first, and their sums.
#[utoipa::path(get, path = "/api/v1/streams/{stream}/history", tag = "streams", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"), Page),
    responses((status = 200, body = History), (status = "4XX", body = Problem)))]
pub(crate) async fn read(
    State(api): Shared,
    User(standing): User,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Answer<History>, Problem> {
    let (after, limit) = (page.after()?, page.limit()?);
    let (stream, right) = api.find(&name, Some(&standing), None).await?;
    if !matches!(right, Right::Owner | Right::Admin) {
        return Err(Error::Forbidden("this is somebody else's stream").into());
    }
    let history = api.database.history();
    let records = history.of(stream.id, after, limit).await?;
    let totals = history.totals(stream.id).await?;
    let List { items, next } = List::page(
        records,
        limit,
        |record| record.id.to_string(),
        BroadcastView::from,
    );
    Ok(Answer(History {
        items,
        next,
        totals: totals.into(),
    }))
}
