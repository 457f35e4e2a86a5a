//! What viewers can ask an edge for: every live stream, wherever it is packaged, as far as the
//! coordinator says they may.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use auth::KeySet;
use delivery::{Catalog, Stream, Thumbnail};
use proto::{
    Coordinators, Directory,
    coordinator::{FindSessionRequest, OpenedSession, ReportSessionRequest},
};
use tokio::sync::{Semaphore, watch};
use types::{Flag, InstanceId, SessionId, Slug, StreamId};

use crate::{edge::Edge, registry::Registry, thumbnails::Thumbnails};

/// Sessions that coordinators are asked for at once: whoever makes ids up must not make them work.
pub(crate) const FINDING: usize = 32;
/// How long a coordinator may take to find one.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long one may take to hear of a session while its viewer waits.
const TELLING: Duration = Duration::from_millis(250);

/// The edge's catalog.
pub(crate) struct LiveStreams {
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
    pub(crate) edge: Edge,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) instance: InstanceId,
    pub(crate) coordinators: Coordinators,
    pub(crate) finding: Semaphore,
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

    fn other_edges(&self) -> Vec<String> {
        let edges = self.directory.edges();
        let others = edges.iter().filter(|(id, _)| *id != self.instance);
        others.map(|(_, url)| url.clone()).collect()
    }

    async fn opened(&self, stream: &Arc<Stream>, session: SessionId) {
        let request = ReportSessionRequest {
            session: Some(OpenedSession {
                stream_id: stream.id().to_string(),
                session_id: session.to_string(),
            }),
        };
        let told = self
            .coordinators
            .ask("report_session", TELLING, |mut coordinator| {
                let request = request.clone();
                async move { coordinator.report_session(request).await }
            });
        // The next heartbeat tells it, too.
        let _ = told.await;
    }

    async fn was_opened_elsewhere(&self, stream: &Arc<Stream>, session: SessionId) -> bool {
        let Ok(_turn) = self.finding.try_acquire() else {
            metrics::counter!("streamr_session_lookups_total", "outcome" => "busy").increment(1);
            tracing::debug!(stream_id = %stream.id(), "too many sessions are looked up to look for another");
            return false;
        };
        let request = FindSessionRequest {
            stream_id: stream.id().to_string(),
            session_id: session.to_string(),
        };
        let found = self
            .coordinators
            .ask("find_session", PATIENCE, |mut coordinator| {
                let request = request.clone();
                async move { coordinator.find_session(request).await }
            });
        let found = found.await.is_ok();
        let outcome = if found { "found" } else { "unknown" };
        metrics::counter!("streamr_session_lookups_total", "outcome" => outcome).increment(1);
        found
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
