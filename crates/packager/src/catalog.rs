//! What viewers can ask an edge for: every live stream, wherever it is packaged, as far as the
//! coordinator says they may.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use auth::KeySet;
use delivery::{Catalog, Stream, Thumbnail};
use proto::Directory;
use tokio::sync::watch;
use types::{Flag, SessionId, Slug, StreamId};

use crate::{edge::Edge, registry::Registry, thumbnails::Thumbnails};

/// The edge's catalog.
pub(crate) struct LiveStreams {
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
    pub(crate) edge: Edge,
    pub(crate) thumbnails: Thumbnails,
}

#[async_trait]
impl Catalog for LiveStreams {
    fn stream(&self, slug: &Slug) -> Option<Arc<Stream>> {
        self.registry.playable(&self.directory, slug)
    }

    fn demand(&self, stream: &Arc<Stream>) {
        // What ended a moment ago has no upstream any more.
        if self.directory.by_id(stream.id()).is_some() {
            self.edge.follow(stream);
        }
    }

    fn playback_keys(&self) -> Arc<KeySet> {
        self.directory.playback_keys()
    }

    fn flag(&self, flag: Flag) -> bool {
        self.directory.flag(flag)
    }

    fn is_revoked(&self, session: SessionId) -> bool {
        self.directory.is_revoked(session)
    }

    async fn thumbnail(&self, stream: &Arc<Stream>) -> Option<Thumbnail> {
        self.directory.by_id(stream.id())?;
        self.thumbnails.get(stream).await
    }
}

/// Closes what nobody has a right to any more, as soon as the coordinator says so; forever.
pub(crate) async fn keep_rights(registry: Registry, directory: Directory) {
    let mut changes = directory.changes();
    let mut seen: HashMap<StreamId, watch::Receiver<u64>> = HashMap::new();
    loop {
        changes.borrow_and_update();
        registry.refresh_rights(&directory);
        let streams = registry.streams();
        seen.retain(|id, _| streams.iter().any(|stream| stream.id() == *id));
        for stream in streams {
            if narrowed(&mut seen, &directory, stream.id()) {
                stream.review_sessions(|session| !directory.is_revoked(session));
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Whether somebody may have lost a right to the stream since this was asked last.
fn narrowed(
    seen: &mut HashMap<StreamId, watch::Receiver<u64>>,
    directory: &Directory,
    id: StreamId,
) -> bool {
    let known = seen.get_mut(&id).and_then(|access| {
        let changed = access.has_changed().ok()?;
        access.mark_unchanged();
        Some(changed)
    });
    known.unwrap_or_else(|| {
        // New here, or live again.
        seen.remove(&id);
        seen.extend(directory.access(id).map(|access| (id, access)));
        true
    })
}
