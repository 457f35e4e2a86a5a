//! What is known, and how an event changes it. No I/O.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use auth::{KeySet, PublicKey};
use tokio::sync::watch;
use types::{Flag, InstanceId, SessionId, Slug, StreamId};

use super::{StreamInfo, revoked::Revoked};
use crate::coordinator::{Flags, PlaybackKeys};

#[derive(Debug)]
struct Live {
    info: Arc<StreamInfo>,
    /// Counts what may take the right to watch from somebody.
    access: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    streams: HashMap<StreamId, Live>,
    names: HashMap<Slug, StreamId>,
    pub(super) keys: Arc<KeySet>,
    pub(super) off: HashSet<Flag>,
    pub(super) revoked: Revoked,
    pub(super) edges: Arc<[(InstanceId, String)]>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            streams: HashMap::new(),
            names: HashMap::new(),
            keys: Arc::default(),
            off: HashSet::new(),
            revoked: Revoked::default(),
            edges: Arc::new([]),
        }
    }
}

fn bump(access: &watch::Sender<u64>) {
    access.send_modify(|version| *version += 1);
}

impl State {
    pub(super) fn by_id(&self, id: StreamId) -> Option<&Arc<StreamInfo>> {
        self.streams.get(&id).map(|live| &live.info)
    }

    pub(super) fn by_slug(&self, slug: &Slug) -> Option<&Arc<StreamInfo>> {
        self.by_id(*self.names.get(slug)?)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<StreamInfo>> {
        self.streams.values().map(|live| &live.info)
    }

    pub(super) fn access(&self, id: StreamId) -> Option<watch::Receiver<u64>> {
        self.streams.get(&id).map(|live| live.access.subscribe())
    }

    pub(super) fn set_stream(&mut self, info: StreamInfo) {
        let (id, slug) = (info.id, info.slug.clone());
        let access = match self.remove(id) {
            Some(old) => {
                if info.restricted && !old.info.restricted {
                    bump(&old.access);
                }
                old.access
            }
            None => watch::Sender::new(0),
        };
        let info = Arc::new(info);
        self.streams.insert(id, Live { info, access });
        self.names.insert(slug, id);
    }

    fn remove(&mut self, id: StreamId) -> Option<Live> {
        let live = self.streams.remove(&id)?;
        if self.names.get(&live.info.slug) == Some(&id) {
            self.names.remove(&live.info.slug);
        }
        Some(live)
    }

    pub(super) fn forget_stream(&mut self, id: StreamId) {
        self.remove(id);
    }

    /// Streams that are not among `named`.
    pub(super) fn others(&self, named: &HashMap<StreamId, StreamInfo>) -> HashSet<StreamId> {
        let ids = self.streams.keys().copied();
        ids.filter(|id| !named.contains_key(id)).collect()
    }

    /// A key of the wrong length can't have signed; what its tokens say is refused like any other.
    pub(super) fn set_keys(&mut self, keys: &PlaybackKeys) {
        let keys = keys.keys.iter().filter_map(|key| {
            let bytes = key.public_key.as_ref().try_into();
            bytes.map(PublicKey).ok()
        });
        self.keys = Arc::new(KeySet::new(keys));
    }

    /// Flags that this version doesn't know are another's.
    pub(super) fn set_flags(&mut self, flags: &Flags) {
        let off = flags.off.iter().filter_map(|name| name.parse().ok());
        self.off = off.collect();
        for live in self.streams.values() {
            bump(&live.access);
        }
    }

    pub(super) fn revoke(&mut self, stream: StreamId, session: SessionId) {
        if self.revoked.insert(session)
            && let Some(live) = self.streams.get(&stream)
        {
            bump(&live.access);
        }
    }
}
