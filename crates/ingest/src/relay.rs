//! RTMP play: one relay per stream makes the bytes that all its players are written.
//!
//! A relay starts with the first player and stops when there is none. It reads from the hub, or, when
//! another ingest holds the stream, from there by `Subscribe`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use delivery::fanout::{Entry, Fanout, Next, Subscriber};
use media::{CodecConfig, Packet, TrackKind};
use parking_lot::Mutex;
use proto::{
    Directory,
    media::{self as wire, item::Item as Wire, media_client::MediaClient},
};
use runtime::Shutdown;
use tokio::time::Instant;
use types::{ByteCount, MediaTime, Secret, Slug, StreamId};

use crate::{
    Error,
    hub::{Hub, Item},
};

/// Messages gathered before they are written: one write serves many samples.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a relay outlives its last player.
const LINGER: Duration = Duration::from_secs(10);

type Relays = Arc<Mutex<HashMap<StreamId, Fanout<Bytes>>>>;

/// The relays of this ingest. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PlaySources {
    pub(crate) hub: Hub,
    pub(crate) directory: Directory,
    pub(crate) token: Option<Secret<String>>,
    pub(crate) shutdown: Shutdown,
    pub(crate) relays: Relays,
}

enum Source {
    Local(Subscriber<Item>),
    Remote(
        Box<tonic::Streaming<wire::SubscribeResponse>>,
        std::vec::IntoIter<wire::Item>,
    ),
}

impl Source {
    /// The next item; `None` when the stream ends here.
    async fn next(&mut self) -> Result<Option<Vec<Item>>, Error> {
        match self {
            Self::Local(reader) => Ok(match reader.next().await {
                Next::Preamble(preamble) => Some(preamble),
                Next::Entry(item) => Some(vec![item]),
                Next::Skipped => Some(Vec::new()),
                Next::Closed => None,
            }),
            Self::Remote(messages, items) => loop {
                if let Some(item) = items.next() {
                    return Ok(match item.item {
                        Some(Wire::Config(config)) => Some(vec![Item::Config(config.try_into()?)]),
                        Some(Wire::Sample(sample)) => Some(vec![Item::Sample(sample.try_into()?)]),
                        Some(Wire::Discontinuity(d)) => {
                            Some(vec![Item::Discontinuity(d.unix_ms_at_zero)])
                        }
                        Some(Wire::Ended(_)) => None,
                        _ => Some(Vec::new()),
                    });
                }
                let Some(message) = messages.message().await.map_err(Box::new)? else {
                    return Ok(None);
                };
                *items = message.items.into_iter();
            },
        }
    }
}

impl PlaySources {
    /// The bytes of a live stream; `None` when there is none of this name.
    pub(crate) async fn open(&self, slug: &Slug) -> Result<Option<Fanout<Bytes>>, Error> {
        let local = self.hub.by_slug(slug);
        let info = self.directory.by_slug(slug);
        let Some(id) = local
            .as_ref()
            .map(|live| live.id())
            .or(info.as_ref().map(|info| info.id))
        else {
            return Ok(None);
        };
        if let Some(running) = self.relays.lock().get(&id) {
            return Ok(Some(running.clone()));
        }
        let source = match (local, info) {
            (Some(live), _) => Source::Local(live.fanout().subscribe()),
            (None, Some(info)) => {
                let channel = runtime::grpc::channel(&info.ingest_address, self.token.as_ref())?;
                let request = wire::SubscribeRequest {
                    stream_id: id.to_string(),
                };
                let mut client =
                    MediaClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
                let call =
                    tokio::time::timeout(runtime::grpc::CALL_TIMEOUT, client.subscribe(request))
                        .await;
                let messages = call
                    .map_err(|_| Error::TooSlow("the other ingest"))?
                    .map_err(Box::new)?;
                Source::Remote(Box::new(messages.into_inner()), Vec::new().into_iter())
            }
            (None, None) => return Ok(None),
        };
        let fanout = Fanout::new("rtmp_play", delivery::FLV_BOUNDS);
        let running = self
            .relays
            .lock()
            .entry(id)
            .or_insert_with(|| fanout.clone())
            .clone();
        let relay = Relay::new(source, running.clone());
        let relays = Arc::clone(&self.relays);
        self.shutdown.spawn_until_cancelled(async move {
            relay.run().await;
            relays.lock().remove(&id);
        });
        Ok(Some(running))
    }
}

/// Turns samples into RTMP messages, gathered into batches.
struct Relay {
    source: Source,
    out: Fanout<Bytes>,
    muxer: flv::Muxer,
    video: Option<CodecConfig>,
    audio: Option<CodecConfig>,
    batch: BytesMut,
    batch_join: bool,
    batch_time: MediaTime,
}

impl Relay {
    fn new(source: Source, out: Fanout<Bytes>) -> Self {
        Self {
            source,
            out,
            muxer: flv::Muxer::new(),
            video: None,
            audio: None,
            batch: BytesMut::new(),
            batch_join: false,
            batch_time: MediaTime::ZERO,
        }
    }

    async fn run(mut self) {
        let mut flush_at = Instant::now() + INTERVAL;
        let mut watched = Instant::now();
        loop {
            let step = tokio::time::timeout_at(flush_at, self.source.next()).await;
            match step {
                Err(_) => {
                    self.flush();
                    flush_at = Instant::now() + INTERVAL;
                    if self.out.readers() > 0 {
                        watched = Instant::now();
                    } else if watched.elapsed() > LINGER {
                        break;
                    }
                }
                Ok(Ok(Some(items))) => items.into_iter().for_each(|item| self.item(item)),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "play relay");
                    break;
                }
            }
        }
        self.flush();
        self.out.close();
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Config(config) => {
                let slot = match config.track() {
                    TrackKind::Video => &mut self.video,
                    TrackKind::Audio => &mut self.audio,
                };
                if slot.as_ref() == Some(&config) {
                    return;
                }
                *slot = Some(config.clone());
                self.flush();
                self.set_preamble();
                self.write(&Packet::Config(config));
            }
            Item::Sample(sample) => {
                let join =
                    sample.keyframe && (sample.track == TrackKind::Video || self.video.is_none());
                if join && !(self.video.is_none() && self.batch_join) {
                    self.flush();
                    self.batch_join = true;
                }
                if self.batch.is_empty() {
                    self.batch_time = sample.decode_time;
                }
                self.write(&Packet::Sample(sample));
            }
            Item::Discontinuity(_) | Item::Paused => self.flush(),
        }
    }

    fn write(&mut self, packet: &Packet) {
        match self.muxer.tag(packet) {
            Ok(tag) => self
                .batch
                .extend_from_slice(&rtmp::chunk::serialize_tag(&tag)),
            Err(error) => tracing::debug!(%error, "play relay drops a sample"),
        }
    }

    /// `onMetaData` and sequence headers, for who joins.
    fn set_preamble(&mut self) {
        let video = self.video.as_ref().and_then(|config| match config {
            CodecConfig::Video(video) => Some(video),
            CodecConfig::Audio(_) => None,
        });
        let audio = self.audio.as_ref().and_then(|config| match config {
            CodecConfig::Audio(audio) => Some(audio),
            CodecConfig::Video(_) => None,
        });
        let mut preamble = BytesMut::new();
        let metadata = flv::Tag::script(0, flv::metadata(video, audio));
        preamble.extend_from_slice(&rtmp::chunk::serialize_tag(&metadata));
        for config in [&self.video, &self.audio].into_iter().flatten() {
            if let Ok(tag) = self.muxer.tag(&Packet::Config(config.clone())) {
                preamble.extend_from_slice(&rtmp::chunk::serialize_tag(&tag));
            }
        }
        self.out.set_preamble(vec![preamble.freeze()]);
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let bytes = self.batch.split().freeze();
        let size = ByteCount::new(bytes.len() as u64);
        let join = std::mem::take(&mut self.batch_join);
        self.out.push(Entry {
            value: bytes,
            size,
            join,
            time: self.batch_time,
        });
    }
}
