//! The HTTP face of streams (design §3): who asks for what under `/live/`.

mod answer;
mod flv;
mod hls;
mod object;
mod range;
mod rights;
mod thumbnail;

use std::sync::Arc;

use async_trait::async_trait;
use auth::KeySet;
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderName, Method, header},
    routing::get,
};
use tower_http::cors::{Any, CorsLayer};
use types::{Flag, SessionId, Slug};

use crate::{Stream, Thumbnail};

/// Where streams come from, and what is known of who may watch them.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// The live stream of this name, if there is one, and who may watch it up to date.
    fn stream(&self, slug: &Slug) -> Option<Arc<Stream>>;

    /// Somebody who may watch it does: starts fetching it when it comes from elsewhere.
    fn demand(&self, stream: &Arc<Stream>);

    /// What playback tokens are verified with; empty while that isn't known.
    fn playback_keys(&self) -> Arc<KeySet>;

    /// Whether a feature is on.
    fn flag(&self, flag: Flag) -> bool;

    /// Whether this session's token opens nothing more.
    fn is_revoked(&self, session: SessionId) -> bool;

    /// Where other edges serve the same streams, as `https://host`: a player that loses this one goes there.
    fn other_edges(&self) -> Vec<String>;

    /// A token opened this session on a restricted stream: other edges are to know it before the viewer asks
    /// one of them.
    async fn opened(&self, stream: &Arc<Stream>, session: SessionId);

    /// Whether another edge opened this session: then it goes on here.
    async fn was_opened_elsewhere(&self, stream: &Arc<Stream>, session: SessionId) -> bool;

    /// A picture of the stream as it is now, if one can be made.
    async fn thumbnail(&self, stream: &Arc<Stream>) -> Option<Thumbnail>;
}

pub(crate) type Streams = Arc<dyn Catalog>;

/// The routes over a catalog's streams.
pub fn routes(catalog: Arc<dyn Catalog>) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::RANGE])
        .expose_headers([
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            HeaderName::from_static("age"),
        ]);
    Router::new()
        .route("/live/{stream}", get(flv::play))
        .route("/live/{stream}/index.m3u8", get(hls::low_latency))
        .route("/live/{stream}/friends.m3u8", get(hls::friends))
        .route(
            "/live/{stream}/s/{session}/index.m3u8",
            get(hls::low_latency_media),
        )
        .route(
            "/live/{stream}/s/{session}/friends.m3u8",
            get(hls::friends_media),
        )
        .route("/live/{stream}/digests", get(object::digests))
        .route("/live/{stream}/{epoch}/{object}", get(object::object))
        .route(
            "/live/{stream}/s/{session}/digests",
            get(object::digests_in_session),
        )
        .route(
            "/live/{stream}/s/{session}/{epoch}/{object}",
            get(object::object_in_session),
        )
        .route("/live/{stream}/thumbnail.webp", get(thumbnail::thumbnail))
        .layer(cors)
        .with_state(catalog)
}

type Name = Path<String>;
type Source = State<Streams>;
type Query = RawQuery;

#[cfg(test)]
mod tests;
