//! A friend's own page: what was carried, for whom, when. Whoever has its address may read it.

use axum::{
    Json as Answer,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use types::{NodeId, Slug};
use utoipa::{IntoParams, ToSchema};

use super::{Problem, Shared, extract::Query};
use crate::Error;

/// Days shown.
const DAYS: u32 = 60;

/// What opens the page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeyQuery {
    /// What stands behind the `#` of the page's address.
    key: String,
}

/// What was carried of one stream.
#[derive(Serialize, ToSchema)]
struct SupportedView {
    #[schema(value_type = String)]
    slug: Slug,
    title: String,
    streamer: String,
    /// As verified; so are all bytes here.
    today_bytes: u64,
    month_bytes: u64,
    total_bytes: u64,
}

/// A day on which something was carried.
#[derive(Serialize, ToSchema)]
struct DayView {
    /// Its start (UTC).
    #[serde(with = "time::serde::rfc3339")]
    day: OffsetDateTime,
    bytes: u64,
    /// Sessions carried.
    sessions: u64,
}

/// What a friend carried.
#[derive(Serialize, ToSchema)]
pub(crate) struct SupporterView {
    name: String,
    /// `online`, `offline` or `quarantined`.
    status: &'static str,
    /// Why it is quarantined, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    streams: Vec<SupportedView>,
    /// The last sixty days, oldest first; days without anything are left out.
    days: Vec<DayView>,
    #[serde(with = "time::serde::rfc3339")]
    as_of: OffsetDateTime,
}

/// Read what a friend carried.
#[utoipa::path(get, path = "/api/v1/supporters/{node}", tag = "friends",
    params(("node" = uuid::Uuid, Path), KeyQuery),
    responses((status = 200, body = SupporterView), (status = "4XX", body = Problem)))]
pub(crate) async fn read(
    State(api): Shared,
    Path(node): Path<String>,
    Query(query): Query<KeyQuery>,
) -> Result<Answer<SupporterView>, Problem> {
    let missing = || Error::NotFound("supporter; open the address that the node's own page shows");
    let node: NodeId = node.parse().map_err(|_| missing())?;
    let key = api.swarm.supporter_key(node);
    if !bool::from(key.as_bytes().ct_eq(query.key.as_bytes())) {
        return Err(missing().into());
    }
    let friends = api.database.friends();
    let known = friends.node(node).await?.ok_or_else(missing)?;
    let helped = friends.of_node(node).await?;
    let carrying = api.database.carrying();
    let carried = carrying.supported(node).await?;
    let mut ids: Vec<_> = helped.iter().map(|friend| friend.stream).collect();
    ids.extend(carried.iter().map(|of| of.stream));
    let mut shown = std::collections::HashSet::new();
    ids.retain(|id| shown.insert(*id));
    let mut streams = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(stream) = api.database.streams().by_id(id).await? else {
            continue;
        };
        let streamer = api.owner_name(&stream).await?.unwrap_or_default();
        let of = carried.iter().find(|of| of.stream == id);
        streams.push(SupportedView {
            slug: stream.slug,
            title: stream.title,
            streamer,
            today_bytes: of.map_or(0, |of| of.today.get()),
            month_bytes: of.map_or(0, |of| of.month.get()),
            total_bytes: of.map_or(0, |of| of.total.get()),
        });
    }
    let days = carrying.supported_days(node, DAYS).await?;
    let days = days.into_iter().map(|day| DayView {
        day: OffsetDateTime::from_unix_timestamp(day.began_ms.div_euclid(1000))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        bytes: day.bytes.get(),
        sessions: day.sessions,
    });
    let online = api.swarm.is_online(node);
    Ok(Answer(SupporterView {
        status: match (&known.quarantine, online) {
            (Some(_), _) => "quarantined",
            (None, true) => "online",
            (None, false) => "offline",
        },
        name: known.name,
        trouble: known.quarantine.map(|(_, reason)| reason),
        streams,
        days: days.collect(),
        as_of: OffsetDateTime::now_utc(),
    }))
}
