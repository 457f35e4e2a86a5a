//! A stream as the API shows it.

use axum::http::{HeaderMap, header};
use proto::coordinator::PublishState;
use serde::Serialize;
use storage::Stream;
use time::OffsetDateTime;
use types::{Slug, StreamId, StreamState};

use crate::{Settings, live::LiveStream};

/// Where playback and ingest are, seen from whoever asks.
pub(crate) struct Links {
    playback: String,
    rtmp: String,
}

impl Links {
    /// The origin that playback comes from.
    pub(crate) fn playback(&self) -> &str {
        &self.playback
    }

    /// From the configuration, else from the request's host.
    pub(crate) fn of(headers: &HeaderMap, settings: &Settings) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");
        let name = host_name(host);
        let scheme = if settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let playback = settings.playback_url.as_ref().map_or_else(
            || format!("{scheme}://{name}:{}", settings.playback_port),
            |url| url.trim_end_matches('/').to_owned(),
        );
        let rtmp = format!("rtmp://{name}:{}/live", settings.rtmp_port);
        Self { playback, rtmp }
    }
}

/// The host without its port; an IPv6 literal keeps its brackets.
fn host_name(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split(':').next().unwrap_or(host),
    }
}

#[derive(Debug, Serialize)]
struct Playback {
    hls: String,
    friends: String,
    flv: String,
    rtmp: String,
}

#[derive(Debug, Serialize)]
struct Health {
    bitrate_bps: u64,
    frame_rate: f64,
    gop_ms: u32,
    drift_ms: i32,
    codecs: String,
    width: u32,
    height: u32,
}

/// `GET /api/v1/streams/{stream}`.
#[derive(Debug, Serialize)]
pub(crate) struct StreamResource {
    id: StreamId,
    slug: Slug,
    title: String,
    state: StreamState,
    /// Live, but its publisher is gone and may return.
    reconnecting: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    viewers: u32,
    playback: Playback,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
}

impl StreamResource {
    pub(crate) fn new(
        stream: Stream,
        live: Option<LiveStream>,
        viewers: u32,
        links: &Links,
    ) -> Self {
        let Links { playback, rtmp } = links;
        let slug = &stream.slug;
        Self {
            reconnecting: live
                .as_ref()
                .is_some_and(|live| live.state == PublishState::Paused),
            playback: Playback {
                hls: format!("{playback}/live/{slug}/index.m3u8"),
                friends: format!("{playback}/live/{slug}/friends.m3u8"),
                flv: format!("{playback}/live/{slug}.flv"),
                rtmp: format!("{rtmp}/{slug}"),
            },
            health: live.map(|live| Health {
                bitrate_bps: live.health.bitrate_bps,
                frame_rate: f64::from(live.health.frame_rate_millihertz) / 1000.0,
                gop_ms: live.health.gop_ms,
                drift_ms: live.health.drift_ms,
                codecs: live.health.codecs,
                width: live.health.width,
                height: live.health.height,
            }),
            id: stream.id,
            slug: stream.slug,
            title: stream.title,
            state: stream.state,
            started_at: stream.started_at,
            ended_at: stream.ended_at,
            viewers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_cut_from_any_host() {
        assert_eq!(host_name("example.org:8000"), "example.org");
        assert_eq!(host_name("example.org"), "example.org");
        assert_eq!(host_name("[::1]:8000"), "[::1]");
    }
}
