//! The streams this packager delivers, and who feeds each of them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use delivery::{Catalog, Stream};
use parking_lot::Mutex;
use proto::{Directory, coordinator::StreamViewers, directory::StreamInfo};
use tokio::time::Instant;
use types::{Slug, StreamId};

use crate::edge::Edge;

/// How long an ended stream stays, so that its players read the end.
const LINGER: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Entry {
    stream: Arc<Stream>,
    /// An origin here feeds it.
    origin: bool,
    /// An upstream task here feeds it.
    upstream: bool,
    ended: Option<Instant>,
}

/// All streams delivered here. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    entries: Arc<Mutex<HashMap<StreamId, Entry>>>,
}

impl Registry {
    /// The stream, made if it isn't there; one that ended is another broadcast's.
    pub(crate) fn stream(&self, id: StreamId, slug: &Slug) -> Arc<Stream> {
        let mut entries = self.entries.lock();
        entries.retain(|known, entry| {
            *known != id || !entry.stream.is_ended() || entry.origin || entry.upstream
        });
        let entry = entries.entry(id).or_insert_with(|| Entry {
            stream: Stream::new(id, slug.clone()),
            origin: false,
            upstream: false,
            ended: None,
        });
        Arc::clone(&entry.stream)
    }

    /// Says whether an origin here feeds the stream.
    pub(crate) fn set_origin(&self, id: StreamId, origin: bool) {
        if let Some(entry) = self.entries.lock().get_mut(&id) {
            entry.origin = origin;
        }
    }

    /// Takes the right to follow the stream's upstream; `false` when it is taken.
    pub(crate) fn start_upstream(&self, id: StreamId) -> bool {
        let mut entries = self.entries.lock();
        entries
            .get_mut(&id)
            .is_some_and(|entry| !std::mem::replace(&mut entry.upstream, true))
    }

    /// Nothing follows the stream's upstream any more.
    pub(crate) fn stop_upstream(&self, id: StreamId) {
        if let Some(entry) = self.entries.lock().get_mut(&id) {
            entry.upstream = false;
        }
    }

    /// The stream, if an origin here feeds it.
    pub(crate) fn packaged(&self, id: StreamId) -> Option<Arc<Stream>> {
        let entries = self.entries.lock();
        entries
            .get(&id)
            .filter(|entry| entry.origin)
            .map(|entry| Arc::clone(&entry.stream))
    }

    fn by_slug(&self, slug: &Slug) -> Option<Arc<Stream>> {
        let entries = self.entries.lock();
        entries
            .values()
            .find(|entry| entry.stream.slug() == slug)
            .map(|entry| Arc::clone(&entry.stream))
    }

    /// Viewers of each stream.
    pub(crate) fn viewers(&self) -> Vec<StreamViewers> {
        let streams: Vec<_> = self
            .entries
            .lock()
            .values()
            .map(|entry| Arc::clone(&entry.stream))
            .collect();
        streams
            .iter()
            .map(|stream| StreamViewers {
                stream_id: stream.id().to_string(),
                viewers: stream.viewers(),
            })
            .collect()
    }

    /// Forgets streams that ended a while ago, or that nobody feeds or watches.
    pub(crate) fn sweep(&self) {
        self.entries.lock().retain(|_, entry| {
            if entry.origin || entry.upstream {
                entry.ended = None;
                return true;
            }
            entry.ended.get_or_insert_with(Instant::now).elapsed() < LINGER
        });
    }
}

/// What viewers can ask an edge for: every live stream, wherever it is packaged.
pub(crate) struct LiveStreams {
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
    pub(crate) edge: Edge,
}

#[async_trait]
impl Catalog for LiveStreams {
    async fn stream(&self, slug: &Slug) -> Option<Arc<Stream>> {
        let Some(StreamInfo { id, .. }) = self.directory.by_slug(slug) else {
            // Ended a moment ago: its players are to read that.
            return self.registry.by_slug(slug);
        };
        let stream = self.registry.stream(id, slug);
        self.edge.follow(&stream);
        Some(stream)
    }
}
