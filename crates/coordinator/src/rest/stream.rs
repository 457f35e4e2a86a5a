//! A stream as the API shows it.

use proto::coordinator::PublishState;
use serde::Serialize;
use storage::Stream;
use time::OffsetDateTime;
use types::{Delivery, Slug, StreamId, StreamState, UserId, Visibility};
use utoipa::ToSchema;

use super::{Api, Links};
use crate::{
    access::Right,
    feeds::Snapshot,
    health::{LOOKED_AT, Level, judge},
    history::HealthSample,
    live::LiveStream,
};

/// Where a stream plays.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Playback {
    /// LL-HLS.
    hls: String,
    /// HLS of whole segments, carried by friends.
    friends: String,
    /// HTTP-FLV.
    flv: String,
    /// RTMP.
    rtmp: String,
}

impl Playback {
    /// The addresses; with a token, those that it opens.
    pub(crate) fn of(slug: &Slug, links: &Links, token: Option<&str>) -> Self {
        let query = token.map_or_else(String::new, |token| format!("?token={token}"));
        let (playback, rtmp) = (links.playback(), links.rtmp());
        Self {
            hls: format!("{playback}/live/{slug}/index.m3u8{query}"),
            friends: format!("{playback}/live/{slug}/friends.m3u8{query}"),
            flv: format!("{playback}/live/{slug}.flv{query}"),
            rtmp: format!("{rtmp}/{slug}{query}"),
        }
    }

    /// LL-HLS, whole segments, HTTP-FLV, RTMP.
    pub(crate) fn into_parts(self) -> [String; 4] {
        [self.hls, self.friends, self.flv, self.rtmp]
    }
}

/// Where encoders publish.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IngestView {
    /// What OBS calls the server.
    server: String,
    /// The same, encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    secure: Option<String>,
}

/// Somebody, as others see them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Person {
    #[schema(value_type = uuid::Uuid)]
    pub(crate) id: UserId,
    pub(crate) name: String,
}

/// What arrives, and how well.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// Bits per second.
    bitrate_bps: u64,
    /// Frames per second.
    frame_rate: f64,
    /// What the encoder promises, frames per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    declared_frame_rate: Option<f64>,
    /// Length of the last whole group of pictures, in milliseconds.
    gop_ms: u32,
    /// Sound's time minus picture's, in milliseconds.
    drift_ms: i32,
    /// Frames are shown in another order than sent.
    b_frames: bool,
    /// RFC 6381, comma separated.
    codecs: String,
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
    /// The health light.
    level: Level,
    /// What is wrong, in one sentence.
    sentence: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

impl HealthView {
    pub(crate) fn of(live: &LiveStream, minute: &[HealthSample]) -> Self {
        let health = &live.health;
        let silent = live.reported.elapsed().as_millis();
        let silent = health
            .silent_ms
            .saturating_add(u32::try_from(silent).unwrap_or(u32::MAX));
        let verdict = judge(health, silent, minute);
        let declared = health.declared_frame_rate_millihertz;
        Self {
            bitrate_bps: health.bitrate_bps,
            frame_rate: f64::from(health.frame_rate_millihertz) / 1000.0,
            declared_frame_rate: (declared > 0).then(|| f64::from(declared) / 1000.0),
            gop_ms: health.gop_ms,
            drift_ms: health.drift_ms,
            b_frames: health.b_frames,
            codecs: health.codecs.clone(),
            width: health.width,
            height: health.height,
            level: verdict.level,
            sentence: verdict.sentence,
            remedy: verdict.remedy,
        }
    }
}

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamView {
    #[schema(value_type = uuid::Uuid)]
    id: StreamId,
    /// Its name in addresses; never changes.
    #[schema(value_type = String)]
    slug: Slug,
    title: String,
    description: String,
    /// `public`, `unlisted` or `private`.
    #[schema(value_type = String)]
    visibility: Visibility,
    /// `ready`, `testing`, `live`, `offline` or `archived`.
    #[schema(value_type = String)]
    state: StreamState,
    /// Whether it starts as a rehearsal that only its owner can watch.
    testing: bool,
    /// How viewers get it unless they choose: `low_latency` or `friends`.
    #[schema(value_type = String)]
    delivery: Delivery,
    /// Viewers are never paired with viewers.
    friends_only: bool,
    /// On air, but its publisher is gone and may return.
    reconnecting: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    started_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    ended_at: Option<OffsetDateTime>,
    /// Watching now.
    viewers: u32,
    /// The most at once, this time or the last.
    peak_viewers: u32,
    playback: Playback,
    /// A picture of it; where the stream isn't public, with `?token=`.
    thumbnail: String,
    /// Where to publish; told to its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest: Option<IngestView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Person>,
    /// What arrives, while on air.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthView>,
    /// Whether the caller owns it.
    mine: bool,
}

impl StreamView {
    /// As somebody with `right` may see it.
    pub(crate) fn of(snapshot: &Snapshot, seen: &Seen<'_>, api: &Api) -> Option<Self> {
        let stream = snapshot.stream.clone()?;
        let live = snapshot.live.as_ref();
        let mine = seen.right.is_owner();
        let peak = live.map_or(stream.peak_viewers, |live| live.peak_viewers);
        let links = seen.links;
        // Players of a stream that ended a moment ago still ask.
        let viewers = if live.is_some() { snapshot.viewers } else { 0 };
        Some(Self {
            reconnecting: live.is_some_and(|live| live.state == PublishState::Paused),
            playback: Playback::of(&stream.slug, links, None),
            thumbnail: format!("{}/live/{}/thumbnail.webp", links.playback(), stream.slug),
            ingest: mine.then(|| IngestView {
                server: links.rtmp().to_owned(),
                secure: links.rtmps().map(str::to_owned),
            }),
            owner: stream.owner.zip(seen.owner).map(|(id, name)| Person {
                id,
                name: name.to_owned(),
            }),
            health: live
                .map(|live| HealthView::of(live, &api.histories.recent(stream.id, LOOKED_AT))),
            mine,
            id: stream.id,
            slug: stream.slug,
            title: stream.title,
            description: stream.description,
            visibility: stream.visibility,
            state: stream.state,
            testing: stream.testing,
            delivery: stream.delivery,
            friends_only: stream.friends_only,
            created_at: stream.created_at,
            started_at: stream.started_at,
            ended_at: stream.ended_at,
            viewers,
            peak_viewers: peak.max(viewers),
        })
    }
}

/// Who looks at a stream, and from where.
pub(crate) struct Seen<'a> {
    pub(crate) right: Right,
    pub(crate) links: &'a Links,
    /// The owner's name.
    pub(crate) owner: Option<&'a str>,
}

impl Api {
    /// The stream as it is now.
    pub(crate) fn snapshot(&self, stream: Stream) -> Snapshot {
        Snapshot {
            live: self.live.get(stream.id),
            viewers: self.registry.viewers(stream.id),
            sample: None,
            stream: Some(stream),
        }
    }
}
