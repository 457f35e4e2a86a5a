//! A node that is connected: what it may carry, what it can take, and how it is told.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use p2p::tracker::PeerId;
use proto::node::{ConnectResponse, Heartbeat, connect_response::Message};
use tokio::{sync::mpsc, time::Instant};
use types::{Bitrate, NodeId, RunId, SessionId, StreamId};

use super::{
    draw::{Candidate, Capacity},
    work::Told,
};

/// A stream that a node carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Helped {
    /// What its streamer calls the node.
    pub(super) name: String,
    /// Its streamer wants no help for now.
    pub(super) paused: bool,
    /// The session that it pulls under.
    pub(super) pull: SessionId,
}

/// A node that is connected.
pub(super) struct Seat {
    pub(super) node: NodeId,
    /// Tells this connection from the one before.
    pub(super) serial: u64,
    pub(super) run: RunId,
    pub(super) to: mpsc::Sender<ConnectResponse>,
    pub(super) address: IpAddr,
    pub(super) peer_id: PeerId,
    pub(super) version: String,
    pub(super) streams: HashMap<StreamId, Helped>,
    pub(super) measured: Option<Bitrate>,
    pub(super) round_trip: Option<Duration>,
    pub(super) beat: Heartbeat,
    pub(super) heard: Instant,
    pub(super) quarantined: bool,
    pub(super) reserved: Bitrate,
    /// The sessions of each stream that it is given.
    pub(super) serving: HashMap<StreamId, HashSet<SessionId>>,
    /// Streams it serves nobody of, since when.
    pub(super) idle: HashMap<StreamId, Instant>,
    /// Since when its connection is broken.
    pub(super) broken: Option<Instant>,
    /// Where it finds playback when no edge has a name of its own.
    pub(super) playback: String,
    pub(super) pinged: Option<(u64, Instant)>,
    pub(super) told: Told,
    /// Streams of which it had the newest segment once since it began to pull them.
    pub(super) current: HashSet<StreamId>,
    /// When it is to be measured: never beside its viewers, whom that would cost what it measures.
    pub(super) measure_at: Instant,
}

/// How a node does, for its streamer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Online,
    Draining,
    Paused,
    Quarantined,
}

/// What peer ids of nodes begin with, and no others.
const NODES: &[u8] = b"-FN";

/// Whether a peer id is one of a node.
pub(super) fn is_nodes(peer: &PeerId) -> bool {
    peer.as_bytes().starts_with(NODES)
}

/// The peer id under which pages know a node: the same for as long as the server keeps its keys.
pub(super) fn peer_id(keys: &crate::KeyRing, node: NodeId) -> PeerId {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = keys.hash_secret(crate::keys::Purpose::Peer, node.as_uuid().as_bytes());
    let mut id = *b"-FN0001-000000000000";
    debug_assert!(id.starts_with(NODES));
    for (place, byte) in id.iter_mut().skip(8).zip(hash.0) {
        *place = LETTERS[usize::from(byte) % LETTERS.len()];
    }
    PeerId::new(id)
}

impl Seat {
    /// One of a node that is there and was told nothing.
    #[cfg(test)]
    pub(super) fn stub(node: NodeId) -> Self {
        Self {
            node,
            serial: 1,
            run: RunId::new(),
            to: mpsc::channel(8).0,
            address: IpAddr::from([127, 0, 0, 1]),
            peer_id: PeerId::new(*b"-FN0001-000000000000"),
            version: String::new(),
            streams: HashMap::new(),
            measured: None,
            round_trip: None,
            beat: Heartbeat::default(),
            heard: Instant::now(),
            quarantined: false,
            reserved: Bitrate::ZERO,
            serving: HashMap::new(),
            idle: HashMap::new(),
            broken: None,
            playback: String::new(),
            pinged: None,
            told: Told::nothing(),
            current: HashSet::new(),
            measure_at: Instant::now(),
        }
    }

    /// Tells the node. One that doesn't listen is broken.
    pub(super) fn tell(&mut self, message: Message) {
        let sent = self.to.try_send(ConnectResponse {
            message: Some(message),
        });
        if sent.is_err() && self.broken.is_none() {
            metrics::counter!("streamr_node_queues_full_total").increment(1);
            self.broken = Some(Instant::now());
        }
    }

    /// What it can take.
    pub(super) fn capacity(&self) -> Capacity {
        let limit = self.beat.max_bitrate_bps;
        Capacity {
            measured: self.measured,
            limit: (limit > 0).then(|| Bitrate::new(limit)),
            reserved: self.reserved,
        }
    }

    /// As one that may be drawn.
    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            node: self.node,
            capacity: self.capacity(),
            round_trip: self.round_trip,
        }
    }

    /// Whether it may carry `stream` at all.
    pub(super) fn helps(&self, stream: StreamId) -> bool {
        let helped = self.streams.get(&stream);
        !self.quarantined && helped.is_some_and(|helped| !helped.paused)
    }

    /// Whether it may be given another viewer of `stream`, who takes so much.
    pub(super) fn may_take(&self, stream: StreamId, wanted: Bitrate) -> bool {
        let viewers: usize = self.serving.values().map(HashSet::len).sum();
        let most = u64::from(self.beat.max_viewers);
        let only = &self.beat.only_stream_ids;
        self.helps(stream)
            && self.broken.is_none()
            && self.beat.accepting
            && (most == 0 || (viewers as u64) < most)
            && (only.is_empty() || only.contains(&stream.to_string()))
            && self.capacity().has(wanted)
    }

    /// It is given a session.
    pub(super) fn serve(&mut self, stream: StreamId, session: SessionId) {
        self.serving.entry(stream).or_default().insert(session);
        self.idle.remove(&stream);
    }

    /// A session is taken from it. It pulls on for a while when that was the last.
    pub(super) fn serve_no_longer(&mut self, stream: StreamId, session: SessionId) {
        if let Some(sessions) = self.serving.get_mut(&stream) {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.serving.remove(&stream);
                self.current.remove(&stream);
                self.idle.insert(stream, Instant::now());
            }
        }
    }

    /// Whether it pulls the stream, or is about to.
    pub(super) fn pulls(&self, stream: StreamId) -> bool {
        self.serving.contains_key(&stream)
    }

    /// The streams it is to pull: those it is given viewers of, and those it had some of until lately.
    pub(super) fn work(&self) -> HashSet<StreamId> {
        self.serving
            .keys()
            .chain(self.idle.keys())
            .copied()
            .collect()
    }

    /// How it does on `stream`.
    pub(super) fn condition(&self, stream: StreamId) -> Condition {
        if self.quarantined {
            Condition::Quarantined
        } else if self
            .streams
            .get(&stream)
            .is_some_and(|helped| helped.paused)
        {
            Condition::Paused
        } else if self.beat.accepting {
            Condition::Online
        } else {
            Condition::Draining
        }
    }
}
