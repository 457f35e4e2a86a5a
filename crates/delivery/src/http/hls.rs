//! Playlists: the multivariants that open sessions, and the media playlists behind them.

use std::time::Duration;

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use hls::{Decision, Flavour, Multivariant, ReloadQuery, resolve};
use types::SessionId;

use super::{Name, Source, answer, find};
use crate::Stream;

/// How long a stream that just started may take to its first segment: the longest target duration, and
/// some.
const START_PATIENCE: Duration = Duration::from_secs(12);

/// `index.m3u8`: low latency.
pub(super) async fn low_latency(catalog: Source, name: Name) -> Response {
    multivariant(catalog, name, "index.m3u8").await
}

/// `friends.m3u8`: whole segments.
pub(super) async fn friends(catalog: Source, name: Name) -> Response {
    multivariant(catalog, name, "friends.m3u8").await
}

async fn multivariant(State(catalog): Source, Path(name): Name, file: &str) -> Response {
    let stream = match find(&catalog, &name).await {
        Ok(stream) => stream,
        Err(refusal) => return refusal,
    };
    let info = stream
        .wait_for(START_PATIENCE, |window| {
            window
                .is_playable()
                .then(|| window.epoch().cloned())
                .flatten()
        })
        .await;
    let Some(info) = info else {
        return answer::later("the stream is starting");
    };
    let uri = format!("s/{}/{file}", SessionId::new());
    let codecs: Vec<&str> = info.codecs.iter().map(String::as_str).collect();
    let playlist = Multivariant {
        uri: &uri,
        bandwidth: info.bandwidth,
        average_bandwidth: info.average_bandwidth,
        codecs: &codecs,
        resolution: info.resolution,
        frame_rate: info.frame_rate,
    };
    answer::multivariant(playlist.render())
}

type InSession = Path<(String, String)>;

/// The low-latency media playlist.
pub(super) async fn low_latency_media(
    State(catalog): Source,
    path: InSession,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = match ReloadQuery::parse(query.as_deref().unwrap_or("")) {
        Ok(query) => query,
        Err(error) => {
            metrics::counter!("streamr_bad_reload_queries_total").increment(1);
            return answer::refuse(StatusCode::BAD_REQUEST, reason(error));
        }
    };
    let stream = match in_session(&catalog, path).await {
        Ok(stream) => stream,
        Err(refusal) => return refusal,
    };
    if let Some(refusal) = hold(&stream, query).await {
        return refusal;
    }
    answer::playlist(&stream.render(Flavour::LowLatency, query.skip), &headers)
}

/// The media playlist of whole segments. Directives are for the other one, and ignored.
pub(super) async fn friends_media(
    State(catalog): Source,
    path: InSession,
    headers: HeaderMap,
) -> Response {
    match in_session(&catalog, path).await {
        Ok(stream) => answer::playlist(&stream.render(Flavour::Friends, None), &headers),
        Err(refusal) => refusal,
    }
}

fn reason(error: hls::Error) -> &'static str {
    match error {
        hls::Error::PartWithoutMsn => "_HLS_part needs _HLS_msn",
        hls::Error::Duplicate { .. } => "an _HLS_ directive is given twice",
        _ => "an _HLS_ directive has an invalid value",
    }
}

/// The stream of a session, which counts as a viewer from now on.
async fn in_session(
    catalog: &super::Streams,
    Path((name, session)): InSession,
) -> Result<std::sync::Arc<Stream>, Response> {
    let Ok(session) = session.parse::<SessionId>() else {
        return Err(answer::refuse(
            StatusCode::NOT_FOUND,
            "no such session; open the stream's index.m3u8",
        ));
    };
    let stream = find(catalog, &name).await?;
    let playable = stream
        .wait_for(START_PATIENCE, |window| window.is_playable().then_some(()))
        .await;
    if playable.is_none() {
        return Err(answer::later("the stream is starting"));
    }
    stream.sessions.polled(session);
    Ok(stream)
}

/// Holds a blocking reload (RFC 8216bis §6.2.5.2) until the playlist holds what is asked for.
async fn hold(stream: &Stream, query: ReloadQuery) -> Option<Response> {
    // Promise D2: three target durations at most, as the specification advises.
    let target = stream.look(|window| window.epoch().map_or(2, |info| info.target_duration));
    let patience = Duration::from_secs(u64::from(target) * 3);
    let decided = stream
        .wait_for(patience, |window| {
            match resolve(&query, &window.live_edge()) {
                Decision::Wait { .. } => None,
                decision => Some(decision),
            }
        })
        .await;
    match decided {
        Some(Decision::BadRequest) => {
            metrics::counter!("streamr_bad_reload_queries_total").increment(1);
            Some(answer::refuse(
                StatusCode::BAD_REQUEST,
                "_HLS_msn or _HLS_part is too far ahead of the live edge",
            ))
        }
        Some(_) => None,
        None if stream.look(crate::window::Window::is_paused) => {
            Some(answer::later("the publisher is reconnecting"))
        }
        None => Some(answer::later("the playlist did not grow in time")),
    }
}
