//! What a service knows of the streams there are and of who may watch them: the coordinator's `Watch`,
//! followed for as long as the service lives. While the coordinator is away, what was known last goes on
//! being true.

mod follow;
mod revoked;
mod state;

use std::sync::Arc;

use auth::KeySet;
use parking_lot::RwLock;
use tokio::sync::{broadcast, watch};
use types::{Epoch, Flag, InstanceId, SessionId, Slug, StreamId};

use crate::{ConvertError, convert::field, coordinator::StreamInfo as WireInfo, cut::Spared};
use state::State;

/// Revocations that a listener may lag behind.
const REVOCATIONS: usize = 64;

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
    /// Played with a playback token only.
    pub restricted: bool,
    /// The `traceparent` of what put it on air; empty when that was not traced.
    pub trace_parent: String,
}

/// Publishers to be cut off.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Of this stream.
    pub stream: StreamId,
    /// For the publisher to read.
    pub reason: String,
    /// But not these.
    pub spared: Spared,
    /// The stream ends at once, whoever publishes.
    pub end: bool,
}

/// The live streams and who may watch, kept current. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    state: Arc<RwLock<State>>,
    version: watch::Sender<u64>,
    revocations: broadcast::Sender<Revocation>,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            state: Arc::default(),
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
            restricted: info.restricted,
            trace_parent: info.trace_parent,
        })
    }
}

impl Directory {
    /// The live stream with this id.
    pub fn by_id(&self, id: StreamId) -> Option<Arc<StreamInfo>> {
        self.state.read().by_id(id).cloned()
    }

    /// The live stream with this name.
    pub fn by_slug(&self, slug: &Slug) -> Option<Arc<StreamInfo>> {
        self.state.read().by_slug(slug).cloned()
    }

    /// All live streams.
    pub fn all(&self) -> Vec<Arc<StreamInfo>> {
        self.state.read().all().cloned().collect()
    }

    /// What playback tokens are verified with; empty until the coordinator said it.
    pub fn playback_keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.state.read().keys)
    }

    /// Whether a feature is on: unless the coordinator named it off.
    pub fn flag(&self, flag: Flag) -> bool {
        !self.state.read().off.contains(&flag)
    }

    /// Whether what this session opened is to be closed, and its token opens nothing more.
    pub fn is_revoked(&self, session: SessionId) -> bool {
        self.state.read().revoked.contains(session)
    }

    /// Changes whenever somebody may have lost the right to watch this stream: it became restricted, a
    /// session was revoked, a flag was switched. Ends with the stream. `None`: it isn't live.
    pub fn access(&self, id: StreamId) -> Option<watch::Receiver<u64>> {
        self.state.read().access(id)
    }

    /// The edges that have a name of their own: which instance, and where the world finds it.
    pub fn edges(&self) -> Arc<[(InstanceId, String)]> {
        Arc::clone(&self.state.read().edges)
    }

    /// Changes whenever anything does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Publishers to be cut off, from now on.
    pub fn revocations(&self) -> broadcast::Receiver<Revocation> {
        self.revocations.subscribe()
    }
}
