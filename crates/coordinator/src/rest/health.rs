//! What a streamer sees of how his stream arrives.

use axum::{
    Json as Answer,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, Shared, caller::User, stream::HealthView};
use crate::{health::LOOKED_AT, history::HealthSample};

/// The last ten minutes.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthHistory {
    /// One a second, oldest first.
    samples: Vec<HealthSample>,
    /// What arrives now, while on air.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<HealthView>,
}

/// The last ten minutes of one's stream, and the health light.
#[utoipa::path(get, path = "/api/v1/streams/{stream}/health", tag = "streams", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name")),
    responses((status = 200, body = HealthHistory), (status = "4XX", body = Problem)))]
pub(crate) async fn read(
    State(api): Shared,
    User(standing): User,
    Path(name): Path<String>,
) -> Result<Answer<HealthHistory>, Problem> {
    let stream = api.own(&name, &standing).await?;
    let live = api.live.get(stream.id);
    let minute = api.histories.recent(stream.id, LOOKED_AT);
    Ok(Answer(HealthHistory {
        samples: api.histories.of(stream.id),
        now: live.map(|live| HealthView::of(&live, &minute)),
    }))
}
