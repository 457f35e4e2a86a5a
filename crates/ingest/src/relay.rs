//! RTMP play: one relay per stream makes the bytes that all its players are written.
//!
//! A relay starts with the first player and stops when there is none. It reads from the hub, or, when
//! another ingest holds the stream, from there by `Subscribe`.

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
use runtime::Shutdown;
use tokio::time::Instant;
use types::{Secret, StreamId};

use crate::{
    Error,
    hub::{Hub, Item},
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
    pub(crate) token: Option<Secret<String>>,
    pub(crate) shutdown: Shutdown,
    pub(crate) gather: Duration,
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
    /// Players now, by stream.
    pub(crate) fn players(&self) -> Vec<(StreamId, usize)> {
        self.relays
            .lock()
            .iter()
            .map(|(id, relay)| (*id, relay.readers()))
            .collect()
    }

    /// The bytes of a live stream; `None` when it is not live any more.
    pub(crate) async fn open(&self, id: StreamId) -> Result<Option<Fanout<Batch>>, Error> {
        if let Some(running) = self.relays.lock().get(&id) {
            return Ok(Some(running.clone()));
        }
        let source = match (self.hub.by_id(id), self.directory.by_id(id)) {
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
        let running = match self.relays.lock().entry(id) {
            // Another player was faster.
            Entry::Occupied(running) => return Ok(Some(running.get().clone())),
            Entry::Vacant(vacant) => {
                let fanout = Fanout::new("rtmp_play", delivery::FLV_BOUNDS);
                vacant.insert(fanout).clone()
            }
        };
        let relay = Relay {
            source,
            out: running.clone(),
            batcher: Batcher::new(RTMP, running.clone()),
            gather: self.gather,
        };
        let relays = Arc::clone(&self.relays);
        self.shutdown.spawn_until_cancelled(async move {
            let out = relay.out.clone();
            relay.run(&relays, id).await;
            out.close();
        });
        Ok(Some(running))
    }
}

/// Tags as RTMP messages that every player understands alike.
const RTMP: TagFormat = TagFormat {
    header: |_, _| Bytes::new(),
    write: |tag, out| out.extend_from_slice(&rtmp::chunk::serialize_tag(tag)),
};

/// Turns samples into batches of RTMP messages.
struct Relay {
    source: Source,
    out: Fanout<Batch>,
    batcher: Batcher,
    gather: Duration,
}

impl Relay {
    /// Relays until the stream ends or nobody plays. Leaves the map before it closes, so that a player
    /// who comes then gets a relay of his own.
    async fn run(mut self, relays: &Relays, id: StreamId) {
        // The GOP that is there already goes at once.
        let mut flush_at = Instant::now() + FIRST;
        let mut watched = Instant::now();
        loop {
            let step = tokio::time::timeout_at(flush_at, self.source.next()).await;
            match step {
                Err(_) => {
                    self.batcher.flush();
                    flush_at = Instant::now() + self.gather;
                    if self.out.readers() > 0 {
                        watched = Instant::now();
                    } else if watched.elapsed() > LINGER {
                        let mut relays = relays.lock();
                        // Under the lock: whoever opened it in this moment is counted.
                        if self.out.readers() == 0 {
                            relays.remove(&id);
                            return;
                        }
                    }
                }
                Ok(Ok(Some(items))) => items.into_iter().for_each(|item| match item {
                    Item::Config(config) => self.batcher.config(config),
                    Item::Sample(sample) => self.batcher.sample(sample),
                    Item::Discontinuity(_) | Item::Paused => self.batcher.flush(),
                }),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "play relay");
                    break;
                }
            }
        }
        self.batcher.flush();
        relays.lock().remove(&id);
    }
}
