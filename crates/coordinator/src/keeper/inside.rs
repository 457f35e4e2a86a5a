//! The internal face of the coordinator that keeps the swarm: what the others hand through is answered as if it had
//! come here by itself.

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use runtime::{ServiceTokens, pass};
use tower::ServiceExt;

use super::{Keeper, paths::kind};

/// Answers what is handed through. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inside {
    pub(crate) keeper: Keeper,
    pub(crate) tokens: ServiceTokens,
    /// The public routes.
    pub(crate) routes: Router,
}

/// The middleware of the internal listener.
pub(crate) async fn take(
    State(inside): State<Inside>,
    mut request: Request,
    next: Next,
) -> Response {
    match pass::take(&mut request, &inside.tokens) {
        Ok(false) => return next.run(request).await,
        Ok(true) => {}
        Err(refused) => return (StatusCode::UNAUTHORIZED, refused.to_string()).into_response(),
    }
    let Some(kind) = kind(request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !inside.keeper.is_here() {
        // Not handed on once more: who asks looks again who keeps it.
        metrics::counter!("streamr_handed_through_failures_total", "kind" => kind.label(), "reason" => "moved")
            .increment(1);
        return kind.refusal();
    }
    match inside.routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
