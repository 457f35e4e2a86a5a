//! Playlists: the multivariants that open sessions, and the media playlists behind them.

use std::time::Duration;

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use hls::{Decision, Flavour, Multivariant, ReloadQuery, Skip, resolve};

use super::{
    Name, Query, Source, Streams,
    answer::{self, Refusal},
    rights::{self, InSession},
};
use crate::{Stream, window::Scope};

/// How long a stream that just started may take to its first segment: the longest target duration, and
/// some.
const START_PATIENCE: Duration = Duration::from_secs(12);

/// Other edges named in a multivariant.
const MAX_OTHERS: usize = 3;

/// `index.m3u8`: low latency.
pub(super) async fn low_latency(
    catalog: Source,
    name: Name,
    query: Query,
) -> Result<Response, Refusal> {
    multivariant(catalog, name, query, "index.m3u8").await
}

/// `friends.m3u8`: whole segments.
pub(super) async fn friends(
    catalog: Source,
    name: Name,
    query: Query,
) -> Result<Response, Refusal> {
    multivariant(catalog, name, query, "friends.m3u8").await
}

async fn multivariant(
    State(catalog): Source,
    Path(name): Name,
    RawQuery(query): Query,
    file: &str,
) -> Result<Response, Refusal> {
    let opened = rights::open(&catalog, &name, query.as_deref())?;
    let info = opened
        .stream
        .wait_for(START_PATIENCE, |window| {
            window
                .is_playable()
                .then(|| window.epoch().cloned())
                .flatten()
        })
        .await;
    let Some(info) = info else {
        return Err(answer::later("the stream is starting"));
    };
    let uri = format!("s/{}/{file}", opened.session(&catalog).await?);
    let slug = opened.stream.slug();
    let elsewhere = catalog.other_edges().into_iter();
    let others: Vec<String> = elsewhere
        .map(|edge| format!("{edge}/live/{slug}/{uri}"))
        .take(MAX_OTHERS)
        .collect();
    let codecs: Vec<&str> = info.codecs.iter().map(String::as_str).collect();
    let playlist = Multivariant {
        uri: &uri,
        others: &others,
        bandwidth: info.bandwidth,
        average_bandwidth: info.average_bandwidth,
        codecs: &codecs,
        resolution: info.resolution,
        frame_rate: info.frame_rate,
    };
    Ok(answer::multivariant(playlist.render()))
}

type At = Path<(String, String)>;

fn bad_query(reason: &'static str) -> Refusal {
    metrics::counter!("streamr_bad_reload_queries_total").increment(1);
    tracing::debug!(reason, "a playlist's query can't be");
    answer::refuse(StatusCode::BAD_REQUEST, reason)
}

/// The low-latency media playlist.
pub(super) async fn low_latency_media(
    State(catalog): Source,
    path: At,
    RawQuery(query): Query,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = match ReloadQuery::parse(query.as_deref().unwrap_or("")) {
        Ok(query) => query,
        Err(error) => return Err(bad_query(reason(error))),
    };
    let inside = enter(&catalog, path).await?;
    hold(&inside.stream, query).await?;
    inside.check()?;
    Ok(media(&inside, Flavour::LowLatency, query.skip, &headers))
}

/// The media playlist of whole segments. Directives are for the other one, and ignored.
pub(super) async fn friends_media(
    State(catalog): Source,
    path: At,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let inside = enter(&catalog, path).await?;
    inside.check()?;
    Ok(media(&inside, Flavour::Friends, None, &headers))
}

fn media(
    inside: &InSession,
    flavour: Flavour,
    skip: Option<Skip>,
    headers: &HeaderMap,
) -> Response {
    let scope = if inside.stream.access().is_restricted() {
        Scope::Session
    } else {
        Scope::Public
    };
    let rendered = inside.stream.render(flavour, skip, scope);
    answer::playlist(&rendered, headers, scope)
}

fn reason(error: hls::Error) -> &'static str {
    match error {
        hls::Error::PartWithoutMsn => "_HLS_part needs _HLS_msn",
        hls::Error::Duplicate { .. } => "an _HLS_ directive is given twice",
        _ => "an _HLS_ directive has an invalid value",
    }
}

/// The stream of a session, which counts as a viewer from now on.
async fn enter(catalog: &Streams, Path((name, session)): At) -> Result<InSession, Refusal> {
    let inside = rights::enter(catalog, &name, &session).await?;
    let playable = inside
        .stream
        .wait_for(START_PATIENCE, |window| window.is_playable().then_some(()))
        .await;
    if playable.is_none() {
        return Err(answer::later("the stream is starting"));
    }
    inside.stream.sessions.polled(inside.session);
    Ok(inside)
}

/// Holds a blocking reload (RFC 8216bis §6.2.5.2) until the playlist holds what is asked for.
async fn hold(stream: &Stream, query: ReloadQuery) -> Result<(), Refusal> {
    // Promise D2: three target durations at most.
    let decided = stream
        .wait_for(stream.patience(), |window| {
            match resolve(&query, &window.live_edge()) {
                Decision::Wait { .. } => None,
                decision => Some(decision),
            }
        })
        .await;
    match decided {
        Some(Decision::BadRequest) => Err(bad_query(
            "_HLS_msn or _HLS_part is too far ahead of the live edge",
        )),
        Some(_) => Ok(()),
        None if stream.look(crate::window::Window::is_paused) => {
            Err(answer::later("the publisher is reconnecting"))
        }
        None => Err(answer::later("the playlist did not grow in time")),
    }
}
