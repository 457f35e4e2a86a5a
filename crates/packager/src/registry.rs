//! The streams this packager delivers, and who feeds each of them.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

use delivery::Stream;
use parking_lot::Mutex;
use proto::{
    Directory,
    coordinator::{OpenedSession, ServedMinute, StreamViewers},
};
use tokio::time::Instant;
use types::{Slug, StreamId};

/// How long an ended stream stays, so that its players read the end.
const LINGER: Duration = Duration::from_secs(30);

/// How long a session is told of after it was opened.
const TOLD: Duration = Duration::from_secs(10);
/// Sessions told of at once.
const MAX_TOLD: usize = 10_000;

#[derive(Debug)]
struct Entry {
    stream: Arc<Stream>,
    /// An origin here feeds it.
    origin: bool,
    /// An upstream task here feeds it.
    upstream: bool,
    ended: Option<Instant>,
}

type Entries = HashMap<StreamId, Entry>;

/// All streams delivered here. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    entries: Arc<Mutex<Entries>>,
}

fn made(entries: &mut Entries, id: StreamId, slug: &Slug) -> Arc<Stream> {
    let over = |entry: &Entry| entry.stream.is_ended() && !entry.origin && !entry.upstream;
    if entries.get(&id).is_some_and(over) {
        entries.remove(&id);
    }
    let entry = entries.entry(id).or_insert_with(|| Entry {
        stream: Stream::new(id, slug.clone()),
        origin: false,
        upstream: false,
        ended: None,
    });
    Arc::clone(&entry.stream)
}

impl Registry {
    /// The stream, made if it isn't there; one that ended is another broadcast's.
    pub(crate) fn stream(&self, id: StreamId, slug: &Slug) -> Arc<Stream> {
        made(&mut self.entries.lock(), id, slug)
    }

    /// The stream of this name that is live, or ended a moment ago: its players are to read that. Who may
    /// watch it is what the directory says now, or said last.
    pub(crate) fn playable(&self, directory: &Directory, slug: &Slug) -> Option<Arc<Stream>> {
        let mut entries = self.entries.lock();
        // Read under the lock, so that whoever writes last has read last.
        let Some(info) = directory.by_slug(slug) else {
            let ended = entries.values().find(|entry| entry.stream.slug() == slug);
            return ended.map(|entry| Arc::clone(&entry.stream));
        };
        let stream = made(&mut entries, info.id, slug);
        stream.set_restricted(info.restricted);
        Some(stream)
    }

    /// Lets every stream know who may watch it.
    pub(crate) fn refresh_rights(&self, directory: &Directory) {
        for entry in self.entries.lock().values() {
            if let Some(info) = directory.by_id(entry.stream.id()) {
                entry.stream.set_restricted(info.restricted);
            }
        }
    }

    /// All streams.
    pub(crate) fn streams(&self) -> Vec<Arc<Stream>> {
        let entries = self.entries.lock();
        entries
            .values()
            .map(|entry| Arc::clone(&entry.stream))
            .collect()
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

    /// Viewers of each stream, and what was sent in the minutes of this time, Unix time in milliseconds.
    pub(crate) fn viewers(&self, told: &Range<i64>) -> Vec<StreamViewers> {
        self.streams()
            .iter()
            .map(|stream| StreamViewers {
                stream_id: stream.id().to_string(),
                viewers: stream.viewers(),
                sessions: stream.sessions_opened(),
                minutes: stream
                    .served(told)
                    .into_iter()
                    .map(|minute| ServedMinute {
                        began_ms: minute.began_ms,
                        to_viewers: minute.to_viewers.get(),
                        to_nodes: minute.to_nodes.get(),
                    })
                    .collect(),
            })
            .collect()
    }

    /// Sessions opened on restricted streams a moment ago: told for a while, so that each coordinator hears
    /// of them.
    pub(crate) fn opened_lately(&self) -> Vec<OpenedSession> {
        let streams = self.streams();
        let opened = streams.iter().flat_map(|stream| {
            let id = stream.id().to_string();
            stream
                .admitted_within(TOLD)
                .into_iter()
                .map(move |session| OpenedSession {
                    stream_id: id.clone(),
                    session_id: session.to_string(),
                })
        });
        opened.take(MAX_TOLD).collect()
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
