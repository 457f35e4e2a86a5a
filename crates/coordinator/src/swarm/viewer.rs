//! A session that may be carried: its page, the nodes it was given, and what its page is to know of them.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use bytes::Bytes;
use p2p::tracker::{InfoHash, OfferId, PeerId, ServerMessage};
use serde::Serialize;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use types::{Bitrate, NodeId, StreamId};

use super::excluded::Excluded;

/// Peers that a page is told to let go of; the oldest are forgotten.
const MAX_DROPPED: usize = 32;

/// A page's connection to the tracker.
pub(super) struct Page {
    /// Tells this connection from the one before.
    pub(super) serial: u64,
    pub(super) to: mpsc::Sender<ServerMessage>,
    /// Known from its first announce on.
    pub(super) swarm: Option<(InfoHash, PeerId)>,
}

impl Page {
    pub(super) fn tell(&self, message: ServerMessage) {
        if self.to.try_send(message).is_err() {
            metrics::counter!("streamr_tracker_queues_full_total").increment(1);
        }
    }
}

/// A node given to a session.
pub(super) struct Assignment {
    pub(super) node: NodeId,
    pub(super) link: Bytes,
    /// When the link was given, which is part of its name. Unix time in milliseconds.
    pub(super) from_ms: i64,
    /// Since when it is told to be given: later than that, where another coordinator gave it. In milliseconds.
    pub(super) told_ms: i64,
    pub(super) since: Instant,
    /// Their data channel is open.
    pub(super) open: bool,
    pub(super) reserved: Bitrate,
    pub(super) bitrate: Bitrate,
    /// They share a household.
    pub(super) own: bool,
}

/// A node, as a page is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Carrier {
    /// As in the tracker's messages.
    pub(crate) peer_id: String,
    #[schema(value_type = uuid::Uuid)]
    pub(crate) node: NodeId,
    /// What its streamer calls it.
    pub(crate) name: String,
}

/// What a page is to know of its peers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct View {
    pub(crate) nodes: Vec<Carrier>,
    /// Peers to be closed at once.
    pub(crate) dropped: Vec<String>,
}

/// A session that may be carried.
pub(super) struct Viewer {
    pub(super) stream: StreamId,
    pub(super) address: IpAddr,
    pub(super) page: Option<Page>,
    /// Who listens to what changes for it.
    pub(super) listeners: u32,
    pub(super) assignments: Vec<Assignment>,
    /// Nodes that it is not given again for now.
    pub(super) excluded: Excluded,
    /// What its page went by last.
    pub(super) known_as: Option<PeerId>,
    /// Other pages it was paired with, as long as they are there.
    pub(super) paired: HashSet<PeerId>,
    pub(super) dropped: Vec<PeerId>,
    pub(super) view: watch::Sender<Arc<View>>,
    /// Since when nothing connects it to anything.
    pub(super) alone: Option<Instant>,
    /// Calls whose answers are awaited from the page.
    pub(super) called: HashMap<OfferId, (u64, NodeId)>,
}

impl Viewer {
    pub(super) fn new(stream: StreamId, address: IpAddr) -> Self {
        Self {
            stream,
            address,
            page: None,
            listeners: 0,
            assignments: Vec::new(),
            excluded: Excluded::default(),
            known_as: None,
            paired: HashSet::new(),
            dropped: Vec::new(),
            view: watch::Sender::new(Arc::default()),
            alone: Some(Instant::now()),
            called: HashMap::new(),
        }
    }

    pub(super) fn assignment(&self, node: NodeId) -> Option<&Assignment> {
        self.assignments.iter().find(|given| given.node == node)
    }

    pub(super) fn assignment_mut(&mut self, node: NodeId) -> Option<&mut Assignment> {
        self.assignments.iter_mut().find(|given| given.node == node)
    }

    /// Whether friends carry it now.
    pub(super) fn is_carried(&self) -> bool {
        self.assignments.iter().any(|given| given.open)
    }

    /// The swarm its page is in, once it has announced itself.
    pub(super) fn swarm(&self) -> Option<(InfoHash, PeerId)> {
        self.page.as_ref()?.swarm
    }

    /// Its page is to let go of a peer at once.
    pub(super) fn let_go_of(&mut self, peer: PeerId) {
        if !self.dropped.contains(&peer) {
            if self.dropped.len() >= MAX_DROPPED {
                self.dropped.remove(0);
            }
            self.dropped.push(peer);
        }
    }

    /// It is given a peer again that it was told to let go of.
    pub(super) fn take_back(&mut self, peer: PeerId) {
        self.dropped.retain(|dropped| *dropped != peer);
    }

    /// Since when nobody is there, kept current.
    pub(super) fn note_presence(&mut self) {
        let present = self.page.is_some() || self.listeners > 0 || self.is_carried();
        if present {
            self.alone = None;
        } else if self.alone.is_none() {
            self.alone = Some(Instant::now());
        }
    }
}
