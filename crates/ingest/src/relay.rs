//! RTMP play: one relay per stream makes the bytes that all its players are written.
//!
//! A relay starts with the first player and stops when there is none. It reads from the hub, or, when
//! another ingest holds the stream, from there by `Subscribe`; it follows a stream whose publisher returns
//! to another ingest, and its players notice a pause.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use delivery::{
    Batch, Batcher, TagFormat,
    fanout::{Fanout, Next, Subscriber},
};
use parking_lot::Mutex;
use proto::{
    Directory,
    media::{self as wire, item::Item as Wire, media_client::MediaClient},
};
use runtime::{
    Shutdown,
    backoff::Backoff,
    grpc::{CALL_TIMEOUT, Channels},
};
use tokio::time::{Instant, timeout};
use types::StreamId;

use crate::{
    Error,
    hub::{Hub, Item, LiveStream},
};

/// When a relay first writes.
const FIRST: Duration = Duration::from_millis(10);
/// How long a relay outlives its last player.
const LINGER: Duration = Duration::from_secs(10);

type Relays = Arc<Mutex<HashMap<StreamId, Fanout<Batch>>>>;

/// The relays of this ingest. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PlaySources {
    pub(crate) hub: Hub,
    pub(crate) directory: Directory,
    pub(crate) channels: Channels,
    pub(crate) shutdown: Shutdown,
    pub(crate) gather: Duration,
    pub(crate) relays: Relays,
    /// How often each live stream was played.
    pub(crate) opened: Arc<Mutex<HashMap<StreamId, u64>>>,
}

enum Source {
    Local(Arc<LiveStream>, Subscriber<Item>),
    Remote(
        Box<tonic::Streaming<wire::SubscribeResponse>>,
        std::vec::IntoIter<wire::Item>,
    ),
}

/// What a source says next.
enum Step {
    Items(Vec<Item>),
    /// The stream ended.
    Over,
    /// It is not here any more, and may be elsewhere.
    Lost,
}

impl Source {
    async fn next(&mut self) -> Result<Step, Error> {
        match self {
            Self::Local(live, reader) => Ok(match reader.next().await {
                Next::Preamble(preamble) => Step::Items(preamble),
                Next::Entry(item) => Step::Items(vec![item]),
                Next::Skipped => Step::Items(Vec::new()),
                Next::Closed if live.has_moved() => Step::Lost,
                Next::Closed => Step::Over,
            }),
            Self::Remote(messages, items) => loop {
                if let Some(item) = items.next() {
                    return Ok(match item.item {
                        Some(Wire::Config(config)) => {
                            Step::Items(vec![Item::Config(config.try_into()?)])
                        }
                        Some(Wire::Sample(sample)) => {
                            Step::Items(vec![Item::Sample(sample.try_into()?)])
                        }
                        Some(Wire::Discontinuity(d)) => {
                            Step::Items(vec![Item::Discontinuity(d.unix_ms_at_zero)])
                        }
                        Some(Wire::Ended(_)) => Step::Over,
                        _ => Step::Items(Vec::new()),
                    });
                }
                let Some(message) = messages.message().await.map_err(Box::new)? else {
                    return Ok(Step::Lost);
                };
                *items = message.items.into_iter();
            },
        }
    }
}

impl PlaySources {
    /// Players now and so far, by stream.
    pub(crate) fn players(&self) -> Vec<(StreamId, usize, u64)> {
        let mut opened = self.opened.lock();
        opened.retain(|id, _| self.directory.by_id(*id).is_some());
        let counts = opened.clone();
        drop(opened);
        let relays = self.relays.lock();
        let playing = counts.into_iter().map(|(id, sessions)| {
            let players = relays.get(&id).map_or(0, Fanout::readers);
            (id, players, sessions)
        });
        playing.collect()
    }

    /// The bytes of a live stream; `None` when it is not live any more.
    pub(crate) async fn open(&self, id: StreamId) -> Result<Option<Fanout<Batch>>, Error> {
        *self.opened.lock().entry(id).or_default() += 1;
        if let Some(running) = self.relays.lock().get(&id) {
            return Ok(Some(running.clone()));
        }
        let Some(source) = self.source(id).await? else {
            return Ok(None);
        };
        let running = match self.relays.lock().entry(id) {
            // Another player was faster.
            Entry::Occupied(running) => return Ok(Some(running.get().clone())),
            Entry::Vacant(vacant) => {
                let fanout = Fanout::new("rtmp_play", delivery::FLV_BOUNDS);
                vacant.insert(fanout).clone()
            }
        };
        let relay = Relay {
            id,
            source,
            out: running.clone(),
            batcher: Batcher::new(RTMP, running.clone()),
            sources: self.clone(),
            flush_at: Instant::now() + FIRST,
            watched: Instant::now(),
        };
        self.shutdown.spawn_until_cancelled(async move {
            let out = relay.out.clone();
            relay.run().await;
            out.close();
        });
        Ok(Some(running))
    }

    /// Where a live stream is read now: here, or from the ingest that holds it. `None`: it isn't live.
    async fn source(&self, id: StreamId) -> Result<Option<Source>, Error> {
        if let Some(live) = self.hub.by_id(id) {
            let reader = live.fanout().subscribe();
            return Ok(Some(Source::Local(live, reader)));
        }
        let Some(info) = self.directory.by_id(id) else {
            return Ok(None);
        };
        let channel = self.channels.to(&info.ingest_address)?;
        let mut client =
            MediaClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
        let request = wire::SubscribeRequest {
            stream_id: id.to_string(),
        };
        let call = timeout(CALL_TIMEOUT, client.subscribe(request)).await;
        let messages = call
            .map_err(|_| Error::TooSlow("the other ingest"))?
            .map_err(Box::new)?
            .into_inner();
        Ok(Some(Source::Remote(
            Box::new(messages),
            Vec::new().into_iter(),
        )))
    }
}

/// Tags as RTMP messages that every player understands alike.
const RTMP: TagFormat = TagFormat {
    header: |_, _| Bytes::new(),
    write: |tag, out| out.extend_from_slice(&rtmp::chunk::serialize_tag(tag)),
};

/// Turns samples into batches of RTMP messages.
struct Relay {
    id: StreamId,
    source: Source,
    out: Fanout<Batch>,
    batcher: Batcher,
    sources: PlaySources,
    flush_at: Instant,
    watched: Instant,
}

impl Relay {
    /// Relays until the stream ends or nobody plays. Leaves the map before it closes, so that a player
    /// who comes then gets a relay of his own.
    async fn run(mut self) {
        while self.relay().await {
            metrics::counter!("streamr_play_relay_moves_total").increment(1);
            tracing::debug!(stream_id = %self.id, "RTMP play lost its ingest; looking for the next");
            match self.source_again().await {
                Some(source) => self.source = source,
                None => break,
            }
        }
        self.batcher.flush();
        self.sources.relays.lock().remove(&self.id);
    }

    /// Relays what one source has; `true` when there may be another.
    async fn relay(&mut self) -> bool {
        loop {
            let step = tokio::time::timeout_at(self.flush_at, self.source.next()).await;
            match step {
                Err(_) => {
                    self.batcher.flush();
                    self.flush_at = Instant::now() + self.sources.gather;
                    if self.is_idle() {
                        return false;
                    }
                }
                Ok(Ok(Step::Items(items))) => items.into_iter().for_each(|item| match item {
                    Item::Config(config) => self.batcher.config(config),
                    Item::Sample(sample) => self.batcher.sample(sample),
                    Item::Discontinuity(_) | Item::Paused => self.batcher.flush(),
                }),
                Ok(Ok(Step::Over)) => return false,
                Ok(Ok(Step::Lost)) => return true,
                Ok(Err(error)) => {
                    tracing::debug!(stream_id = %self.id, %error, "ingest can't be read any more");
                    return true;
                }
            }
        }
    }

    /// Whether nobody has played for a while. Then it is out of the map already.
    fn is_idle(&mut self) -> bool {
        if self.out.readers() > 0 {
            self.watched = Instant::now();
            return false;
        }
        let mut relays = self.sources.relays.lock();
        // Under the lock: whoever opened it in this moment is counted.
        let idle = self.watched.elapsed() > LINGER && self.out.readers() == 0;
        if idle {
            relays.remove(&self.id);
        }
        idle
    }

    /// Waits for the stream to be somewhere again. `None`: it is over, or nobody plays any more.
    async fn source_again(&mut self) -> Option<Source> {
        self.batcher.flush();
        let mut changes = self.sources.directory.changes();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        loop {
            changes.borrow_and_update();
            match self.sources.source(self.id).await {
                Ok(found) => return found,
                Err(error) => {
                    tracing::debug!(stream_id = %self.id, %error, "no ingest can be read yet; trying again");
                }
            }
            if self.is_idle() {
                return None;
            }
            // The next place is told of, or this one comes back.
            let _ = timeout(backoff.next_delay(), changes.changed()).await;
        }
    }
}
