//! Streams: made, found, described and deleted.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use storage::{NewStream, Scope, Stream, StreamChange};
use types::{Delivery, Slug, StreamId, StreamState, Visibility};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api, Links, Problem, Shared,
    caller::{Caller, From, User},
    extract::{Check, Json, Query},
    page::Page,
    stream::{Seen, StreamView},
};
use crate::{Error, StreamKey, access::Right, accounts::Standing};

/// The longest title, in characters.
const MAX_TITLE: usize = 120;
/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 2000;
/// The header with which a share link's secret is sent.
pub(crate) const SHARE: &str = "share-secret";

/// Which streams.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// In this state.
    state: Option<String>,
    /// `me`: one's own; `all`: everybody's, for admins; otherwise what is public.
    owner: Option<String>,
    /// The `next` of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    after: Option<String>,
    /// Streams wanted, 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// Streams, in the order of their making.
#[derive(Serialize, ToSchema)]
pub(crate) struct StreamList {
    streams: Vec<StreamView>,
    /// Send it as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    next: Option<StreamId>,
}

/// List streams: the public ones, one's own, or (admins) all.
#[utoipa::path(get, path = "/api/v1/streams", tag = "streams", security((), ("bearer" = [])), params(ListQuery),
    responses((status = 200, body = StreamList), (status = "4XX", body = Problem)))]
pub(crate) async fn list(
    State(api): Shared,
    Caller(caller): Caller,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
) -> Result<Answer<StreamList>, Problem> {
    let page = Page {
        after: query.after,
        limit: query.limit,
    };
    let (after, limit) = (page.after::<StreamId>()?, page.limit()?);
    let state = query.state.map(|state| state.parse::<StreamState>());
    let state = state.transpose().map_err(|_| Error::Query {
        parameter: "state",
        problem: "send one of ready, testing, live, offline, archived",
    })?;
    let missing = Error::Unauthenticated("log in to see your own streams");
    let scope = match (query.owner.as_deref(), &caller) {
        (None, _) => Scope::Public,
        (Some("me"), Some(standing)) => Scope::OwnedBy(standing.user),
        (Some("all"), Some(standing)) if standing.is_admin() => Scope::All,
        (Some("all"), Some(_)) => {
            return Err(Error::Forbidden("only an admin sees everybody's streams").into());
        }
        (Some("me" | "all"), None) => return Err(missing.into()),
        (Some(_), _) => {
            return Err(Error::Query {
                parameter: "owner",
                problem: "send `me`, `all`, or leave it out",
            }
            .into());
        }
    };
    let streams = api
        .database
        .streams()
        .list(scope, state, after, limit)
        .await?;
    let next = streams
        .last()
        .filter(|_| streams.len() == limit as usize)
        .map(|stream| stream.id);
    let links = Links::of(&headers, &api.settings);
    let names = owner_names(&api, &streams).await?;
    let mut views = Vec::with_capacity(streams.len());
    for stream in streams {
        let mine = caller
            .as_ref()
            .is_some_and(|who| stream.owner == Some(who.user));
        let seen = Seen {
            right: if mine { Right::Owner } else { Right::Anyone },
            links: &links,
            owner: names
                .iter()
                .find(|(id, _)| stream.owner == Some(*id))
                .map(|(_, name)| name.as_str()),
        };
        views.extend(StreamView::of(&api.snapshot(stream), &seen, &api));
    }
    Ok(Answer(StreamList {
        streams: views,
        next,
    }))
}

async fn owner_names(api: &Api, streams: &[Stream]) -> Result<Vec<(types::UserId, String)>, Error> {
    let mut owners: Vec<_> = streams.iter().filter_map(|stream| stream.owner).collect();
    owners.sort_unstable();
    owners.dedup();
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    Ok(api.database.users().names(&owners).await?)
}

/// A stream to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateStream {
    #[schema(min_length = 1, max_length = 120)]
    title: String,
    /// Its name in addresses: a-z, 0-9, '-' and '_'; made from the title when left out.
    #[schema(max_length = 64)]
    slug: Option<String>,
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// `public` (the default), `unlisted` or `private`.
    visibility: Option<String>,
    /// Whether it starts as a rehearsal that only its owner can watch.
    testing: Option<bool>,
}

/// A stream with its key.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedStream {
    #[serde(flatten)]
    stream: StreamView,
    /// Shown only now.
    stream_key: String,
}

/// A name in addresses from a title, with something random where the title gives too little.
fn slug_from(title: &str) -> String {
    let mut slug = String::new();
    for c in title.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
        if slug.len() >= 40 {
            break;
        }
    }
    let random: u32 = rand::random();
    let stem = slug.trim_end_matches('-');
    let stem = if stem.is_empty() { "stream" } else { stem };
    format!("{stem}-{random:08x}")
}

/// Make a stream. Its key is shown only in this answer.
#[utoipa::path(post, path = "/api/v1/streams", tag = "streams", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "8 to 128 printable characters: sent again, the request makes nothing twice", min_length = 8, max_length = 128)),
    request_body = CreateStream,
    responses((status = 201, body = CreatedStream), (status = "4XX", body = Problem)))]
pub(crate) async fn create(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    headers: HeaderMap,
    Json(sent): Json<CreateStream>,
) -> Result<Response, Problem> {
    let mut check = Check::default();
    let title = check.line("title", &sent.title, 1, MAX_TITLE);
    let description = check.lines(
        "description",
        sent.description.as_deref().unwrap_or(""),
        MAX_DESCRIPTION,
    );
    let slug = sent.slug.unwrap_or_else(|| slug_from(&title));
    let slug: Option<Slug> = check.value("slug", &slug);
    let visibility = sent.visibility.as_deref().unwrap_or("public");
    let visibility: Option<Visibility> = check.value("visibility", visibility);
    check.done()?;
    let key = StreamKey::generate();
    let (Some(slug), Some(visibility)) = (slug, visibility) else {
        return Err(Error::Malformed("the stream can't be read".to_owned()).into());
    };
    let new = NewStream {
        owner: Some(standing.user),
        description,
        visibility,
        testing: sent.testing.unwrap_or(false),
        ..NewStream::new(slug, title, api.keys.hash(&key))
    };
    let entry = from.audit_by(&standing, "stream.created");
    let stream = api.database.streams().create(new, entry).await?;
    let links = Links::of(&headers, &api.settings);
    let location = format!("/api/v1/streams/{}", stream.id);
    let version = stream.version;
    let seen = Seen {
        right: Right::Owner,
        links: &links,
        owner: Some(&standing.display_name),
    };
    let view =
        StreamView::of(&api.snapshot(stream), &seen, &api).ok_or(Error::NotFound("stream"))?;
    let tag = entity_tag(version, &view);
    let answer = CreatedStream {
        stream: view,
        stream_key: key.expose().to_owned(),
    };
    let headers = [(header::LOCATION, location), (header::ETAG, tag)];
    Ok((StatusCode::CREATED, headers, Answer(answer)).into_response())
}

/// `"<version>-<hash>"`: the version is what `If-Match` compares, the hash tells two looks at it apart.
fn entity_tag(version: u64, view: &StreamView) -> String {
    let json = serde_json::to_vec(view).unwrap_or_default();
    let hash = Sha256::digest(&json);
    let short = hash
        .iter()
        .take(6)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("\"{version}-{short:012x}\"")
}

/// The versions that `If-Match` names; `None`: any will do.
fn wanted_version(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("").trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.trim_matches('"').split('-').next();
    version
        .and_then(|version| version.parse().ok())
        .map(Some)
        .ok_or(Error::field(
            "If-Match",
            "send the ETag of the stream as it was read",
        ))
}

/// The secret of a share link, if the caller sent one.
pub(crate) fn share_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(SHARE).and_then(|value| value.to_str().ok())
}

impl Api {
    /// The stream of this name or id, and what the caller may do with it. What the caller may not even see
    /// isn't there.
    pub(crate) async fn find(
        &self,
        name: &str,
        caller: Option<&Standing>,
        share: Option<&str>,
    ) -> Result<(Stream, Right), Error> {
        let streams = self.database.streams();
        let found = if let Ok(id) = name.parse::<StreamId>() {
            streams.by_id(id).await?
        } else if let Ok(slug) = name.parse::<Slug>() {
            streams.by_slug(&slug).await?
        } else {
            None
        };
        let missing = Error::NotFound("stream, or it is private and this is not your account");
        let Some(stream) = found else {
            return Err(missing);
        };
        match self.accounts.right_on(&stream, caller, share).await? {
            Some(right) => Ok((stream, right)),
            None => Err(missing),
        }
    }

    /// The caller's own stream of this name or id.
    pub(crate) async fn own(&self, name: &str, caller: &Standing) -> Result<Stream, Error> {
        match self.find(name, Some(caller), None).await? {
            (stream, Right::Owner) => Ok(stream),
            _ => Err(Error::Forbidden("this is somebody else's stream")),
        }
    }

    pub(crate) async fn owner_name(&self, stream: &Stream) -> Result<Option<String>, Error> {
        let names = owner_names(self, std::slice::from_ref(stream)).await?;
        Ok(names.into_iter().next().map(|(_, name)| name))
    }

    pub(crate) async fn show(
        &self,
        stream: Stream,
        right: Right,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let owner = self.owner_name(&stream).await?;
        let links = Links::of(headers, &self.settings);
        let seen = Seen {
            right,
            links: &links,
            owner: owner.as_deref(),
        };
        let version = stream.version;
        let view = StreamView::of(&self.snapshot(stream), &seen, self);
        let view = view.ok_or(Error::NotFound("stream"))?;
        let tag = entity_tag(version, &view);
        let known = headers.get(header::IF_NONE_MATCH);
        let unchanged = known
            .and_then(|known| known.to_str().ok())
            .is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
        let mut response = if unchanged {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            Answer(view).into_response()
        };
        if let Ok(tag) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        let cache = HeaderValue::from_static("no-cache");
        response.headers_mut().insert(header::CACHE_CONTROL, cache);
        Ok(response)
    }
}

/// Read a stream by its id or its name.
#[utoipa::path(get, path = "/api/v1/streams/{stream}", tag = "streams", security((), ("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"),
        ("Share-Secret" = Option<String>, Header, description = "The secret of a share link")),
    responses((status = 200, body = StreamView), (status = 304), (status = "4XX", body = Problem)))]
pub(crate) async fn read(
    State(api): Shared,
    Caller(caller): Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let (stream, right) = api
        .find(&name, caller.as_deref(), share_of(&headers))
        .await?;
    api.show(stream, right, &headers).await
}

/// What is to be another; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeStream {
    #[schema(min_length = 1, max_length = 120)]
    title: Option<String>,
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// `public`, `unlisted` or `private`. Viewers who lose the right to watch are cut off.
    visibility: Option<String>,
    /// Whether it starts as a rehearsal the next time.
    testing: Option<bool>,
    /// How viewers get it unless they choose: `low_latency` or `friends`.
    delivery: Option<String>,
    /// Whether viewers are never paired with viewers: then only friends learn their addresses.
    friends_only: Option<bool>,
}

/// Change what a stream says of itself, and who may watch.
#[utoipa::path(patch, path = "/api/v1/streams/{stream}", tag = "streams", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the stream as it was read: refused if it changed since")),
    request_body = ChangeStream,
    responses((status = 200, body = StreamView), (status = "4XX", body = Problem)))]
pub(crate) async fn change(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    headers: HeaderMap,
    Path(name): Path<String>,
    Json(sent): Json<ChangeStream>,
) -> Result<Response, Problem> {
    let stream = api.own(&name, &standing).await?;
    let mut check = Check::default();
    let title = sent
        .title
        .map(|text| check.line("title", &text, 1, MAX_TITLE));
    let description = sent
        .description
        .map(|text| check.lines("description", &text, MAX_DESCRIPTION));
    let visibility: Option<Visibility> = sent
        .visibility
        .and_then(|text| check.value("visibility", &text));
    let delivery: Option<Delivery> = sent
        .delivery
        .and_then(|text| check.value("delivery", &text));
    check.done()?;
    let entry = visibility
        .filter(|wanted| *wanted != stream.visibility)
        .map(|wanted| {
            let mut entry = from.audit_by(&standing, "visibility.changed");
            entry.detail = Some(serde_json::json!({ "visibility": wanted }).to_string());
            entry
        });
    let change = StreamChange {
        title,
        description,
        visibility,
        testing: sent.testing,
        delivery,
        friends_only: sent.friends_only,
    };
    let version = wanted_version(&headers)?;
    let streams = api.database.streams();
    let stream = streams.change(stream.id, change, version, entry).await?;
    api.nudge.nudge();
    api.show(stream, Right::Owner, &headers).await
}

/// Delete a stream with its keys and links. One that is on air is refused: end it first.
#[utoipa::path(delete, path = "/api/v1/streams/{stream}", tag = "streams", security(("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name")),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(crate) async fn delete(
    State(api): Shared,
    User(standing): User,
    From(from): From,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let stream = api.own(&name, &standing).await?;
    let mut entry = from.audit_by(&standing, "stream.deleted");
    entry.detail = Some(serde_json::json!({ "slug": stream.slug }).to_string());
    api.database.streams().delete(stream.id, entry).await?;
    api.nudge.nudge();
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_from_any_title() {
        for title in [
            "Friday night!",
            "Žluťoučký kůň",
            "",
            "日本語",
            &"x".repeat(200),
        ] {
            let slug = slug_from(title);
            assert!(slug.parse::<Slug>().is_ok(), "{title}: {slug}");
        }
        assert!(slug_from("Friday night!").starts_with("friday-night-"));
    }
}
