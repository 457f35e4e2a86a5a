//! The streams of one coordinator that are pulled, as it says.

use std::sync::{Arc, atomic::Ordering};

use proto::node::StreamWork;
use runtime::Shutdown;
use tokio::sync::watch;
use types::StreamId;

use super::Control;
use crate::pull::{Pull, PullState};

/// More streams at a time are no friend's.
const MAX_STREAMS: usize = 16;

/// A pull that runs.
pub(super) struct Running {
    work: watch::Sender<StreamWork>,
    until: Shutdown,
}

impl Control {
    /// Does what the coordinator wants done: begins, goes on, lets go.
    pub(super) async fn work(&mut self, streams: Vec<StreamWork>) {
        let wanted: Vec<(StreamId, StreamWork)> = streams
            .into_iter()
            .filter_map(|work| self.allowed(work))
            .take(MAX_STREAMS)
            .collect();
        let gone = self.pulls.keys().copied();
        let gone: Vec<StreamId> = gone
            .filter(|stream| !wanted.iter().any(|(wanted, _)| wanted == stream))
            .collect();
        for stream in gone {
            tracing::info!(%stream, "stream needs no help now");
            self.let_go(stream).await;
        }
        for (stream, work) in wanted {
            match self.pulls.get(&stream) {
                Some(running) => drop(running.work.send_if_modified(|now| {
                    let differs = *now != work;
                    *now = work;
                    differs
                })),
                None => self.begin(stream, work),
            }
        }
    }

    /// Only what the friend was invited to, and didn't rule out: a coordinator can't have anything else carried.
    fn allowed(&self, work: StreamWork) -> Option<(StreamId, StreamWork)> {
        let stream = work.stream.as_ref()?;
        let id: StreamId = stream.stream_id.parse().ok()?;
        if !self.node.is_invited(&self.server.origin, id) {
            tracing::warn!(stream = %id, "coordinator asks for a stream that nobody invited this node to");
            return None;
        }
        let only = self.node.limits.lock().only.clone();
        let named = |name: &String| *name == stream.slug || *name == stream.stream_id;
        (only.is_empty() || only.iter().any(named)).then_some((id, work))
    }

    fn begin(&mut self, stream: StreamId, work: StreamWork) {
        let title = work.stream.as_ref().map_or("", |stream| &stream.title);
        tracing::info!(%stream, title, "helping");
        let state = Arc::new(PullState::default());
        let (work, changes) = watch::channel(work);
        let pull = Pull {
            stream,
            work: changes,
            keys: self.keys.subscribe(),
            http: self.node.net.http().clone(),
            window: Arc::clone(&self.node.window),
            peer: self.node.peer.clone(),
            state: Arc::clone(&state),
        };
        let until = self.shutdown.child();
        until.spawn_until_cancelled(pull.run());
        self.server.pulls.lock().insert(stream, state);
        self.pulls.insert(stream, Running { work, until });
    }

    /// Lets go of what the friend left, or ruled out, meanwhile.
    pub(super) async fn drop_unwanted(&mut self) {
        let unwanted: Vec<StreamId> = self
            .pulls
            .iter()
            .filter(|(_, running)| self.allowed(running.work.borrow().clone()).is_none())
            .map(|(stream, _)| *stream)
            .collect();
        for stream in unwanted {
            self.let_go(stream).await;
        }
    }

    /// At once: viewers, segments, and the pull itself.
    pub(super) async fn let_go(&mut self, stream: StreamId) {
        if let Some(running) = self.pulls.remove(&stream) {
            running.until.cancel();
        }
        if let Some(state) = self.server.pulls.lock().remove(&stream) {
            let downloaded = state.downloaded.load(Ordering::Relaxed);
            self.server
                .downloaded_before
                .fetch_add(downloaded, Ordering::Relaxed);
        }
        self.node.peer.close_stream(stream).await;
        self.node.window.forget(stream);
    }

    /// The ids of the streams that the friend named.
    pub(super) fn only(&self, names: &[String]) -> Vec<String> {
        let identity = self.node.identity.lock();
        let servers = identity
            .servers
            .iter()
            .filter(|s| s.origin == self.server.origin);
        let streams = servers.flat_map(|server| &server.streams);
        let named = streams.filter(|stream| {
            let id = stream.id.to_string();
            names.iter().any(|name| *name == stream.slug || *name == id)
        });
        let ids: Vec<String> = named.map(|stream| stream.id.to_string()).collect();
        if ids.is_empty() && !names.is_empty() {
            // Empty would mean all: none of this coordinator's is wanted.
            return vec![uuid::Uuid::nil().to_string()];
        }
        ids
    }
}
