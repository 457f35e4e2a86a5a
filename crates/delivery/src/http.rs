//! The HTTP face of streams (design §3): who asks for what under `/live/`.

mod answer;
mod flv;
mod hls;
mod object;

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderName, Method, header},
    response::Response,
    routing::get,
};
use tower_http::cors::{Any, CorsLayer};
use types::Slug;

use crate::Stream;
use answer::refuse;

/// Where streams come from.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// The live stream of this name, if there is one; starts fetching it when it comes from elsewhere.
    async fn stream(&self, slug: &Slug) -> Option<Arc<Stream>>;
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
        .layer(cors)
        .with_state(catalog)
}

/// The stream, or the answer that says there is none.
async fn find(catalog: &Streams, name: &str) -> Result<Arc<Stream>, Response> {
    let slug: Option<Slug> = name.parse().ok();
    let found = match slug {
        Some(slug) => catalog.stream(&slug).await,
        None => None,
    };
    let Some(stream) = found else {
        metrics::counter!("streamr_unknown_plays_total", "protocol" => "http").increment(1);
        return Err(refuse(
            axum::http::StatusCode::NOT_FOUND,
            "no such live stream",
        ));
    };
    stream.touch();
    Ok(stream)
}

type Name = Path<String>;
type Source = State<Streams>;
