//! Who is there, and who was given to whom: the tables, and what keeps them true to one another.
//!
//! Everything here happens under one lock and waits for nothing; messages go into bounded queues.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use events::{AssignedNode, EndedSession, StartedSession};
use p2p::tracker::{OfferId, PeerId};
use proto::node::{Drop, connect_response::Message};
use tokio::time::Instant;
use types::{Bitrate, NodeId, SessionId, StreamId};

use super::{
    gather::Gather,
    indexed::Indexed,
    link::Link,
    seat::{Seat, peer_id},
    viewer::{Assignment, Carrier, View, Viewer},
};
use crate::{KeyRing, keys::Purpose};

/// Sessions that may be carried at once; further ones are served by edges.
const MAX_VIEWERS: usize = 200_000;

/// A stream whose bitrate is not known yet is taken for this.
const UNKNOWN_BITRATE: Bitrate = Bitrate::new(6_000_000);

/// What is known of a stream that somebody carries, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamFacts {
    pub(super) slug: String,
    pub(super) title: String,
    pub(super) streamer: String,
    /// Viewers are never paired with viewers.
    pub(super) friends_only: bool,
    pub(super) bitrate: Bitrate,
    pub(super) live: bool,
}

impl StreamFacts {
    /// Its bitrate was measured over a second. The highest of the last minute or so is what counts: pictures that
    /// stand still take little, and those that come next take more.
    pub(super) fn saw(&mut self, bitrate: Bitrate) {
        let faded = self.bitrate.get() - self.bitrate.get() / 64;
        self.bitrate = bitrate.max(Bitrate::new(faded));
    }

    /// What a viewer of it takes; of a stream that was not measured yet, what is usual at most.
    pub(super) const fn taken(&self) -> Bitrate {
        match self.bitrate {
            Bitrate::ZERO => UNKNOWN_BITRATE,
            known => known,
        }
    }
}

/// What a node was asked and has not answered.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// To answer a page's offer.
    Answer(OfferId),
    /// To make an offer to a page.
    Offer,
}

/// A question to a node.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) session: SessionId,
    pub(super) node: NodeId,
    pub(super) asked: Asked,
    pub(super) at: Instant,
}

/// Nodes of a stream.
#[derive(Default)]
pub(super) struct Carriers {
    /// Those that carry it, or may.
    pub(super) all: Indexed<NodeId>,
    /// Those that pull it, or are about to.
    pub(super) pulling: Indexed<NodeId>,
}

/// Sessions of a stream.
#[derive(Default)]
pub(super) struct Audience {
    pub(super) sessions: Indexed<SessionId>,
    /// How many of them friends carry now.
    pub(super) carried: u32,
}

pub(super) struct State {
    pub(super) keys: KeyRing,
    pub(super) gather: Gather,
    pub(super) seats: HashMap<NodeId, Seat>,
    pub(super) viewers: HashMap<SessionId, Viewer>,
    pub(super) streams: HashMap<StreamId, StreamFacts>,
    pub(super) carriers: HashMap<StreamId, Carriers>,
    pub(super) audiences: HashMap<StreamId, Audience>,
    /// All sessions, which are looked through some at a time.
    pub(super) everybody: Indexed<SessionId>,
    /// Pages by what trackers call them.
    pub(super) pages: HashMap<(StreamId, PeerId), SessionId>,
    pub(super) pending: HashMap<u64, Pending>,
    /// Test pulls that wait for their node.
    pub(super) tests: HashMap<u64, (NodeId, tokio::sync::oneshot::Sender<String>)>,
    /// Offers and calls that go out once their nodes know what to pull.
    pub(super) outgoing: Vec<(NodeId, Message)>,
    /// This coordinator keeps the swarm; else all of this is empty.
    pub(super) kept: bool,
    /// Feature flag.
    pub(super) enabled: bool,
    pub(super) next: u64,
}

/// Now, Unix time in milliseconds.
pub(super) fn now_ms() -> i64 {
    (time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64
}

/// The part of an address that one household shares (design §5).
pub(super) fn network(address: IpAddr) -> [u8; 7] {
    let mut network = [0; 7];
    match address.to_canonical() {
        IpAddr::V4(v4) => network[..3].copy_from_slice(&v4.octets()[..3]),
        IpAddr::V6(v6) => network.copy_from_slice(&v6.octets()[..7]),
    }
    network
}

impl State {
    pub(super) fn new(keys: KeyRing, gather: Gather) -> Self {
        Self {
            keys,
            gather,
            seats: HashMap::new(),
            viewers: HashMap::new(),
            streams: HashMap::new(),
            carriers: HashMap::new(),
            audiences: HashMap::new(),
            everybody: Indexed::default(),
            pages: HashMap::new(),
            pending: HashMap::new(),
            tests: HashMap::new(),
            outgoing: Vec::new(),
            kept: false,
            enabled: true,
            next: rand::random::<u32>().into(),
        }
    }

    /// A number that was not given out before.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The session, which is there from now on. `None`: there are too many, or the swarm is kept elsewhere.
    pub(super) fn viewer(
        &mut self,
        session: SessionId,
        stream: StreamId,
        address: IpAddr,
    ) -> Option<&mut Viewer> {
        if !self.kept {
            return None;
        }
        if !self.viewers.contains_key(&session) {
            if self.viewers.len() >= MAX_VIEWERS {
                metrics::counter!("streamr_swarm_full_total").increment(1);
                return None;
            }
            let hash = self.keys.hash_secret(Purpose::Household, &network(address));
            let mut household = [0; 8];
            household.copy_from_slice(&hash.0[..8]);
            self.gather.started(StartedSession {
                session,
                stream,
                at_ms: now_ms(),
                household,
            });
            self.viewers.insert(session, Viewer::new(stream, address));
            let audience = self.audiences.entry(stream).or_default();
            audience.sessions.insert(session);
            self.everybody.insert(session);
        }
        self.viewers.get_mut(&session)
    }

    /// The session is over.
    pub(super) fn end_viewer(&mut self, session: SessionId) {
        let nodes: Vec<NodeId> = self.viewers.get(&session).map_or_else(Vec::new, |viewer| {
            viewer.assignments.iter().map(|given| given.node).collect()
        });
        for node in nodes {
            self.release(session, node);
        }
        self.forget_peer(session);
        let Some(viewer) = self.viewers.remove(&session) else {
            return;
        };
        if let Some(audience) = self.audiences.get_mut(&viewer.stream) {
            audience.sessions.remove(&session);
            if audience.sessions.is_empty() {
                self.audiences.remove(&viewer.stream);
            }
        }
        self.everybody.remove(&session);
        self.gather.ended(EndedSession {
            session,
            stream: viewer.stream,
            at_ms: now_ms(),
        });
    }

    /// A page can't be reached now. What it was paired with may live on.
    pub(super) fn unlist(&mut self, session: SessionId) {
        let Some(viewer) = self.viewers.get(&session) else {
            return;
        };
        if let Some(peer) = viewer.known_as {
            let key = (viewer.stream, peer);
            if self.pages.get(&key) == Some(&session) {
                self.pages.remove(&key);
            }
        }
    }

    /// A page goes by its peer id no longer: others it was paired with have room for another.
    pub(super) fn forget_peer(&mut self, session: SessionId) {
        self.unlist(session);
        let Some(viewer) = self.viewers.get_mut(&session) else {
            return;
        };
        let (stream, partners) = (viewer.stream, std::mem::take(&mut viewer.paired));
        let Some(peer) = viewer.known_as.take() else {
            return;
        };
        for partner in partners {
            let partner = self.pages.get(&(stream, partner));
            if let Some(partner) = partner.and_then(|partner| self.viewers.get_mut(partner)) {
                partner.paired.remove(&peer);
            }
        }
    }

    /// Gives a node to a session. Answers the link's name.
    pub(super) fn give(
        &mut self,
        session: SessionId,
        node: NodeId,
        reserved: Bitrate,
    ) -> Option<bytes::Bytes> {
        let viewer = self.viewers.get_mut(&session)?;
        let seat = self.seats.get_mut(&node)?;
        let stream = viewer.stream;
        let from_ms = now_ms();
        let link = Link {
            session,
            node,
            stream,
            from_ms,
        };
        let name = link.seal(&self.keys)?;
        let bitrate = self.streams.get(&stream)?.taken();
        let own = network(seat.address) == network(viewer.address);
        seat.reserved = seat.reserved.saturating_add(reserved.get());
        seat.serve(stream, session);
        viewer.take_back(seat.peer_id);
        viewer.assignments.push(Assignment {
            node,
            link: name.clone(),
            from_ms,
            told_ms: from_ms,
            since: Instant::now(),
            open: false,
            reserved,
            bitrate,
            own,
        });
        self.carriers
            .entry(stream)
            .or_default()
            .pulling
            .insert(node);
        self.gather.assigned(AssignedNode {
            session,
            node,
            stream,
            from_ms,
            until_ms: None,
            bitrate,
            own,
        });
        self.show(session);
        Some(name)
    }

    /// What a session takes rose: what its nodes could deliver at most is told again.
    pub(super) fn note_bitrate(&mut self, session: SessionId) {
        let Some(viewer) = self.viewers.get_mut(&session) else {
            return;
        };
        let stream = viewer.stream;
        let Some(now) = self.streams.get(&stream).map(StreamFacts::taken) else {
            return;
        };
        // Reconciling allows more than this beyond what was told.
        let rose =
            |given: &&mut Assignment| given.bitrate.get() + given.bitrate.get() / 5 < now.get();
        for given in viewer.assignments.iter_mut().filter(rose) {
            given.bitrate = now;
            self.gather.assigned(AssignedNode {
                session,
                node: given.node,
                stream,
                from_ms: given.told_ms,
                until_ms: None,
                bitrate: now,
                own: given.own,
            });
        }
    }

    /// Takes a node from a session. Answers whether it was given.
    pub(super) fn release(&mut self, session: SessionId, node: NodeId) -> bool {
        let Some(viewer) = self.viewers.get_mut(&session) else {
            return false;
        };
        let Some(place) = viewer
            .assignments
            .iter()
            .position(|given| given.node == node)
        else {
            return false;
        };
        let was_carried = viewer.is_carried();
        let given = viewer.assignments.swap_remove(place);
        let stream = viewer.stream;
        viewer.note_presence();
        self.note_carried(session, was_carried);
        self.gather.assigned(AssignedNode {
            session,
            node,
            stream,
            from_ms: given.told_ms,
            until_ms: Some(now_ms()),
            bitrate: given.bitrate,
            own: given.own,
        });
        if let Some(seat) = self.seats.get_mut(&node) {
            seat.reserved = Bitrate::new(seat.reserved.get().saturating_sub(given.reserved.get()));
            seat.serve_no_longer(stream, session);
            if !seat.pulls(stream)
                && let Some(carriers) = self.carriers.get_mut(&stream)
            {
                carriers.pulling.remove(&node);
            }
        }
        self.show(session);
        true
    }

    /// Takes a node that failed from a session, and does not pair them again soon.
    pub(super) fn part(&mut self, session: SessionId, node: NodeId) {
        if let Some(viewer) = self.viewers.get_mut(&session) {
            viewer.excluded.rest(node, Instant::now());
        }
        self.let_go(session, node);
    }

    /// Takes a node from a session, and tells both to let go of one another.
    pub(super) fn let_go(&mut self, session: SessionId, node: NodeId) {
        let Some(viewer) = self.viewers.get_mut(&session) else {
            return;
        };
        viewer.let_go_of(peer_id(&self.keys, node));
        let link = viewer.assignment(node).map(|given| given.link.clone());
        if let (Some(link), Some(seat)) = (link, self.seats.get_mut(&node)) {
            seat.tell(Message::Drop(Drop { link }));
        }
        if !self.release(session, node) {
            self.show(session);
        }
    }

    /// Tells a session's page what it is to know of its peers.
    pub(super) fn show(&mut self, session: SessionId) {
        let Some(viewer) = self.viewers.get(&session) else {
            return;
        };
        let carriers = viewer.assignments.iter().filter_map(|given| {
            let seat = self.seats.get(&given.node)?;
            Some(Carrier {
                peer_id: seat.peer_id.to_binary_string(),
                node: given.node,
                name: seat.streams.get(&viewer.stream)?.name.clone(),
            })
        });
        let view = View {
            nodes: carriers.collect(),
            dropped: viewer
                .dropped
                .iter()
                .map(PeerId::to_binary_string)
                .collect(),
        };
        viewer.view.send_if_modified(|shown| {
            let changed = **shown != view;
            if changed {
                *shown = Arc::new(view);
            }
            changed
        });
    }

    /// Sessions that a node was given.
    pub(super) fn sessions_of(&self, node: NodeId, stream: Option<StreamId>) -> Vec<SessionId> {
        let Some(seat) = self.seats.get(&node) else {
            return Vec::new();
        };
        let serving = seat.serving.iter();
        let meant = serving.filter(|(served, _)| stream.is_none_or(|stream| stream == **served));
        meant.flat_map(|(_, sessions)| sessions).copied().collect()
    }

    /// Keeps count of the sessions that are carried; `before`: whether this one was.
    pub(super) fn note_carried(&mut self, session: SessionId, before: bool) {
        let Some(viewer) = self.viewers.get(&session) else {
            return;
        };
        if let Some(audience) = self.audiences.get_mut(&viewer.stream) {
            match (before, viewer.is_carried()) {
                (false, true) => audience.carried += 1,
                (true, false) => audience.carried = audience.carried.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// A node may carry a stream no longer.
    pub(super) fn carries_no_longer(&mut self, node: NodeId, stream: StreamId) {
        if let Some(carriers) = self.carriers.get_mut(&stream) {
            carriers.all.remove(&node);
            carriers.pulling.remove(&node);
            if carriers.all.is_empty() && carriers.pulling.is_empty() {
                self.carriers.remove(&stream);
            }
        }
    }

    /// A node is gone: its viewers are given others.
    pub(super) fn unseat(&mut self, node: NodeId) {
        for session in self.sessions_of(node, None) {
            if let Some(viewer) = self.viewers.get_mut(&session) {
                viewer.let_go_of(peer_id(&self.keys, node));
                viewer.excluded.rest(node, Instant::now());
            }
            self.release(session, node);
            self.want(session);
        }
        if let Some(seat) = self.seats.remove(&node) {
            for stream in seat.streams.keys() {
                self.carries_no_longer(node, *stream);
            }
        }
        self.pending.retain(|_, pending| pending.node != node);
    }
}
