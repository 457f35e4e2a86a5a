//! What a service knows of the streams there are: the coordinator's `Watch`, followed for as long as the
//! service lives. While the coordinator is away, what was known last goes on being true.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use runtime::{backoff::Backoff, grpc::ServiceChannel};
use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};
use types::{Epoch, InstanceId, PublishId, Slug, StreamId};

use crate::{
    ConvertError,
    convert::field,
    coordinator::{
        StreamInfo as WireInfo, WatchRequest, WatchResponse, coordinator_client::CoordinatorClient,
        watch_response::Event,
    },
};

/// The channel to the coordinator.
pub type Coordinator = CoordinatorClient<ServiceChannel>;

/// Revocations that a listener may lag behind.
const REVOCATIONS: usize = 64;
/// How long a stream is believed live that a new snapshot does not name.
const BELIEF: Duration = Duration::from_secs(10);

/// Who packages a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which packager.
    pub instance: InstanceId,
    /// Where its gRPC answers.
    pub address: String,
    /// Its fencing number.
    pub epoch: Epoch,
}

/// A live stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its id.
    pub id: StreamId,
    /// Its name in URLs.
    pub slug: Slug,
    /// Where the ingest that holds it answers.
    pub ingest_address: String,
    /// Who packages it, if somebody does.
    pub origin: Option<Origin>,
}

/// Publishers to be cut off.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Of this stream.
    pub stream: StreamId,
    /// For the publisher to read.
    pub reason: String,
    /// But not this one.
    pub except: Option<PublishId>,
}

type Streams = HashMap<StreamId, StreamInfo>;

/// The live streams, kept current. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    streams: Arc<RwLock<Streams>>,
    version: watch::Sender<u64>,
    revocations: broadcast::Sender<Revocation>,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            streams: Arc::default(),
            version: watch::Sender::new(0),
            revocations: broadcast::Sender::new(REVOCATIONS),
        }
    }
}

impl TryFrom<WireInfo> for StreamInfo {
    type Error = ConvertError;

    fn try_from(info: WireInfo) -> Result<Self, ConvertError> {
        let origin = if info.origin_address.is_empty() {
            None
        } else {
            Some(Origin {
                instance: field(&info.origin_instance_id, "origin_instance_id")?,
                address: info.origin_address,
                epoch: Epoch::new(info.origin_epoch),
            })
        };
        Ok(Self {
            id: field(&info.stream_id, "stream_id")?,
            slug: field(&info.slug, "slug")?,
            ingest_address: info.ingest_address,
            origin,
        })
    }
}

impl Directory {
    /// The live stream with this id.
    pub fn by_id(&self, id: StreamId) -> Option<StreamInfo> {
        self.streams.read().get(&id).cloned()
    }

    /// The live stream with this name.
    pub fn by_slug(&self, slug: &Slug) -> Option<StreamInfo> {
        self.streams
            .read()
            .values()
            .find(|info| info.slug == *slug)
            .cloned()
    }

    /// All live streams.
    pub fn all(&self) -> Vec<StreamInfo> {
        self.streams.read().values().cloned().collect()
    }

    /// Changes whenever a stream does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Publishers to be cut off, from now on.
    pub fn revocations(&self) -> broadcast::Receiver<Revocation> {
        self.revocations.subscribe()
    }

    /// Follows the coordinator, forever. `connected` is told whether it is there.
    pub async fn follow(
        self,
        coordinator: Coordinator,
        instance: InstanceId,
        connected: impl Fn(Result<(), String>),
    ) {
        let mut backoff = Backoff::internal();
        loop {
            match self
                .follow_once(coordinator.clone(), instance, &connected, &mut backoff)
                .await
            {
                Ok(()) => connected(Err("the coordinator closed the connection".to_owned())),
                Err(status) => connected(Err(format!(
                    "the coordinator can't be reached: {}",
                    status.message()
                ))),
            }
            backoff.wait().await;
        }
    }

    async fn follow_once(
        &self,
        mut coordinator: Coordinator,
        instance: InstanceId,
        connected: &impl Fn(Result<(), String>),
        backoff: &mut Backoff,
    ) -> Result<(), tonic::Status> {
        let request = WatchRequest {
            instance_id: instance.to_string(),
        };
        let mut events = coordinator.watch(request).await?.into_inner();
        let mut snapshot = Some(Streams::new());
        let mut stale = Stale::default();
        loop {
            let message = tokio::select! {
                message = events.message() => message?,
                () = stale.due() => {
                    self.streams.write().retain(|id, _| !stale.streams.contains(id));
                    stale = Stale::default();
                    self.version.send_modify(|version| *version += 1);
                    continue;
                }
            };
            let Some(WatchResponse { event }) = message else {
                return Ok(());
            };
            match event {
                Some(Event::Stream(info)) => {
                    let info = StreamInfo::try_from(info)?;
                    stale.streams.remove(&info.id);
                    match &mut snapshot {
                        Some(snapshot) => drop(snapshot.insert(info.id, info)),
                        None => drop(self.streams.write().insert(info.id, info)),
                    }
                }
                Some(Event::SnapshotEnd(_)) => {
                    if let Some(snapshot) = snapshot.take() {
                        let mut streams = self.streams.write();
                        let missing = streams
                            .keys()
                            .filter(|id| !snapshot.contains_key(id))
                            .copied();
                        stale = Stale::new(missing.collect());
                        streams.extend(snapshot);
                    }
                    backoff.reset();
                    connected(Ok(()));
                }
                Some(Event::Gone(gone)) => {
                    let id: StreamId = field(&gone.stream_id, "stream_id")?;
                    self.streams.write().remove(&id);
                }
                Some(Event::PublishRevoked(revoked)) => {
                    let revocation = Revocation {
                        stream: field(&revoked.stream_id, "stream_id")?,
                        reason: revoked.reason,
                        except: revoked.except_publish_id.parse().ok(),
                    };
                    // Nobody listens in services without publishers.
                    let _ = self.revocations.send(revocation);
                }
                Some(Event::PlaybackKeys(_) | Event::Flags(_) | Event::SessionRevoked(_))
                | None => {}
            }
            if snapshot.is_none() {
                self.version.send_modify(|version| *version += 1);
            }
        }
    }
}

/// Streams that a snapshot did not name. A coordinator that restarted hears of live streams within
/// seconds: until then they are believed to go on.
#[derive(Default)]
struct Stale {
    streams: HashSet<StreamId>,
    until: Option<Instant>,
}

impl Stale {
    fn new(streams: HashSet<StreamId>) -> Self {
        let until = (!streams.is_empty()).then(|| Instant::now() + BELIEF);
        Self { streams, until }
    }

    /// Waits until they are believed no longer; forever when there are none.
    async fn due(&self) {
        match self.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}
