//! The public REST API under `/api/v1`: reading streams.

mod problem;
mod stream;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, Stream};
pub(crate) use stream::Links;
use stream::StreamResource;
use tower_http::{cors::CorsLayer, timeout::TimeoutLayer};
use types::{Slug, StreamId, StreamState};

use crate::{Error, Settings, live::Live, registry::Registry};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Streams on one page of a list.
const PAGE: u32 = 50;

/// What the API reads from.
pub(crate) struct Api {
    pub(crate) database: Database,
    pub(crate) live: Arc<Live>,
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
}

#[derive(Deserialize)]
struct ListQuery {
    state: Option<String>,
    after: Option<String>,
}

#[derive(Serialize)]
struct StreamList {
    streams: Vec<StreamResource>,
    /// Send it as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<StreamId>,
}

/// The routes.
pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/v1/streams", get(list))
        .route("/api/v1/streams/{stream}", get(read))
        .route("/api/{*rest}", get(no_such_path))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            TIMEOUT,
        ))
        .layer(CorsLayer::new().allow_origin(tower_http::cors::Any))
        .with_state(Arc::new(api))
}

async fn no_such_path() -> Problem {
    Problem::not_found("no such path; the API is under /api/v1/streams")
}

async fn list(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
) -> Result<Json<StreamList>, Problem> {
    let after = query
        .after
        .map(|text| text.parse::<StreamId>())
        .transpose()
        .map_err(|_| Error::Query {
            parameter: "after",
            problem: "send the `next` of the page before",
        })?;
    let streams = match query.state.as_deref() {
        None => api
            .database
            .streams()
            .list(after, PAGE)
            .await
            .map_err(Error::from)?,
        Some(state) => {
            let state: StreamState = state.parse().map_err(|_| Error::Query {
                parameter: "state",
                problem: "send one of ready, live, offline",
            })?;
            let all = api
                .database
                .streams()
                .in_state(state)
                .await
                .map_err(Error::from)?;
            all.into_iter()
                .filter(|s| after.is_none_or(|after| s.id > after))
                .take(PAGE as usize)
                .collect()
        }
    };
    let next = (streams.len() == PAGE as usize)
        .then(|| streams.last().map(|s| s.id))
        .flatten();
    let links = Links::of(&headers, &api.settings);
    let streams = streams
        .into_iter()
        .map(|stream| api.resource(stream, &links))
        .collect();
    Ok(Json(StreamList { streams, next }))
}

async fn read(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<StreamResource>, Problem> {
    let streams = api.database.streams();
    let found = if let Ok(id) = name.parse::<StreamId>() {
        streams.by_id(id).await.map_err(Error::from)?
    } else if let Ok(slug) = name.parse::<Slug>() {
        streams.by_slug(&slug).await.map_err(Error::from)?
    } else {
        None
    };
    let stream = found.ok_or(Error::NoSuchStream(name))?;
    Ok(Json(
        api.resource(stream, &Links::of(&headers, &api.settings)),
    ))
}

impl Api {
    fn resource(&self, stream: Stream, links: &Links) -> StreamResource {
        let live = self.live.get(stream.id);
        let viewers = self.registry.viewers(stream.id);
        StreamResource::new(stream, live, viewers, links)
    }
}
