//! The picture of a stream. Who has no right to it, or comes when there is none, gets a neutral one: an
//! image in a page never breaks, and tells nothing.

use axum::{
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use types::Flag;

use super::{Name, Query, Source, answer, rights};
use crate::{Thumbnail, window::Scope};

/// `GET /live/<stream>/thumbnail.webp`.
pub(super) async fn thumbnail(
    State(catalog): Source,
    Path(name): Name,
    RawQuery(query): Query,
    headers: HeaderMap,
) -> Response {
    if catalog.flag(Flag::Thumbnails)
        && let Some(stream) = rights::glimpse(&catalog, &name, query.as_deref())
        && let Some(picture) = catalog.thumbnail(&stream).await
    {
        let scope = if stream.access().is_restricted() {
            Scope::Session
        } else {
            Scope::Public
        };
        return answer::picture(&picture, &headers, scope);
    }
    answer::picture(&Thumbnail::none(), &headers, Scope::Public)
}
