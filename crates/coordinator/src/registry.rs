//! Which services there are, and how many watch: what heartbeats say, kept while they come.
//!
//! Every service tells every coordinator, so that what was heard here is the whole; the cache adds what only
//! another coordinator heard, and is not missed while it is away.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cache::Cache;
use parking_lot::{Mutex, RwLock};
use prost::Message;
use proto::coordinator::{Edge, HeartbeatRequest, OpenedSession, ServiceKind};
use tokio::time::Instant;
use types::{InstanceId, SessionId, StreamId};

use crate::Error;

/// How long one heartbeat keeps an instance; they come every second.
const PRESENCE: Duration = Duration::from_secs(5);
/// How long an instance that fell silent is remembered: its reports may still come.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Instances remembered at once; further ones are refused.
const MAX_INSTANCES: usize = 10_000;
/// How often the cache is asked for what only other coordinators heard.
const REFRESH: Duration = Duration::from_secs(1);
/// How long a session on a restricted stream may go on at another edge: as long as anybody watches.
const SESSION: Duration = Duration::from_secs(24 * 3600);
/// A session is told of several times; it is written once within this.
const REPEATED: Duration = Duration::from_secs(60);
/// Sessions written lately.
const MAX_REPEATED: u64 = 100_000;

struct Known {
    said: Arc<HeartbeatRequest>,
    heard: Instant,
}

struct Inner {
    cache: Cache,
    heard: Mutex<HashMap<InstanceId, Known>>,
    elsewhere: RwLock<Vec<Arc<HeartbeatRequest>>>,
    written: moka::sync::Cache<SessionId, ()>,
}

/// The service registry. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registry {
    inner: Arc<Inner>,
}

/// Whether it can stand in a playlist and in a page's policy as it is.
fn is_plain(url: &str) -> bool {
    let forbidden =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, ';' | ',' | '"' | '\'');
    url.starts_with("http") && !url.contains(forbidden)
}

fn session_key(stream: StreamId, session: SessionId) -> String {
    format!("session/{stream}/{session}")
}

impl Registry {
    pub(crate) fn new(cache: &Cache) -> Self {
        let written = moka::sync::Cache::builder()
            .max_capacity(MAX_REPEATED)
            .time_to_live(REPEATED)
            .build();
        Self {
            inner: Arc::new(Inner {
                cache: cache.clone(),
                heard: Mutex::default(),
                elsewhere: RwLock::default(),
                written,
            }),
        }
    }

    /// Takes what a service says of itself.
    pub(crate) async fn heartbeat(&self, mut request: HeartbeatRequest) -> Result<(), Error> {
        let instance: InstanceId = proto::convert::field(&request.instance_id, "instance_id")?;
        let sessions = std::mem::take(&mut request.sessions);
        let bytes = request.encode_to_vec();
        {
            let mut heard = self.inner.heard.lock();
            heard.retain(|_, known| known.heard.elapsed() < REMEMBERED);
            if heard.len() >= MAX_INSTANCES && !heard.contains_key(&instance) {
                metrics::counter!("streamr_instances_refused_total").increment(1);
                return Err(Error::Busy);
            }
            heard.insert(
                instance,
                Known {
                    said: Arc::new(request),
                    heard: Instant::now(),
                },
            );
        }
        let key = format!("service/{instance}");
        self.inner.cache.put_presence(&key, bytes, PRESENCE).await?;
        self.opened(sessions).await
    }

    /// Keeps which sessions edges opened, for the other edges.
    pub(crate) async fn opened(
        &self,
        sessions: impl IntoIterator<Item = OpenedSession>,
    ) -> Result<(), Error> {
        use proto::convert::field;
        for opened in sessions {
            let stream: StreamId = field(&opened.stream_id, "stream_id")?;
            let session: SessionId = field(&opened.session_id, "session_id")?;
            if self.inner.written.contains_key(&session) {
                continue;
            }
            let key = session_key(stream, session);
            self.inner.cache.put(&key, Vec::new(), SESSION).await?;
            self.inner.written.insert(session, ());
        }
        Ok(())
    }

    /// Whether some edge opened the session.
    pub(crate) async fn has_session(&self, stream: StreamId, session: SessionId) -> bool {
        let key = session_key(stream, session);
        self.inner.cache.get(&key).await.is_some()
    }

    /// Says that this coordinator is there, and keeps what only others heard current; forever.
    pub(crate) async fn follow(self, instance: InstanceId, address: String) {
        let own = HeartbeatRequest {
            instance_id: instance.to_string(),
            kinds: vec![ServiceKind::Coordinator.into()],
            address,
            ..HeartbeatRequest::default()
        };
        loop {
            if let Err(error) = self.heartbeat(own.clone()).await {
                tracing::debug!(%error, "own heartbeat");
            }
            tokio::time::sleep(REFRESH).await;
            let found = self.inner.cache.presence("service/").await;
            let said = found
                .iter()
                .filter_map(|(_, bytes)| HeartbeatRequest::decode(bytes.as_slice()).ok())
                .map(Arc::new);
            *self.inner.elsewhere.write() = said.collect();
        }
    }

    /// The services that reported lately.
    pub(crate) fn instances(&self) -> Vec<Arc<HeartbeatRequest>> {
        let heard = self.inner.heard.lock();
        let mut present: Vec<_> = heard
            .values()
            .filter(|known| known.heard.elapsed() < PRESENCE)
            .map(|known| Arc::clone(&known.said))
            .collect();
        drop(heard);
        for said in self.inner.elsewhere.read().iter() {
            if !present
                .iter()
                .any(|known| known.instance_id == said.instance_id)
            {
                present.push(Arc::clone(said));
            }
        }
        present.sort_by(|a, b| a.instance_id.cmp(&b.instance_id));
        present
    }

    /// Where an instance's gRPC answers.
    pub(crate) fn address(&self, instance: InstanceId) -> Option<String> {
        let heard = self.inner.heard.lock();
        heard.get(&instance).map(|known| known.said.address.clone())
    }

    /// Edges that have a name of their own.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        let present = self.instances();
        let named = present.iter().filter(|known| is_plain(&known.playback_url));
        named
            .map(|known| Edge {
                instance_id: known.instance_id.clone(),
                playback_url: known.playback_url.clone(),
            })
            .collect()
    }

    /// Whether an ingest says that it holds the stream.
    pub(crate) fn is_held(&self, stream: StreamId) -> bool {
        let id = stream.to_string();
        let present = self.instances();
        present.iter().any(|known| known.stream_ids.contains(&id))
    }

    /// Viewers of a stream, over all edges and ingests.
    pub(crate) fn viewers(&self, stream: StreamId) -> u32 {
        let id = stream.to_string();
        let present = self.instances();
        let counts = present.iter().flat_map(|known| &known.viewers);
        counts
            .filter(|count| count.stream_id == id)
            .map(|count| count.viewers)
            .sum()
    }

    /// Playback sessions of a stream so far, by who opened them.
    pub(crate) fn sessions(&self, stream: StreamId) -> Vec<(InstanceId, u64)> {
        let id = stream.to_string();
        let present = self.instances();
        let counted = present.iter().filter_map(|known| {
            let count = known.viewers.iter().find(|count| count.stream_id == id)?;
            Some((known.instance_id.parse().ok()?, count.sessions))
        });
        counted.collect()
    }
}
