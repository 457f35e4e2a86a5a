//! Friends carry the stream: who may, who is given to whom, and how the two are brought together.
//!
//! Owns the tracker that pages announce themselves to, the seats of connected nodes, the assignment of nodes to
//! sessions, and the facts of all that. No byte of media passes here; what counts of what is said is
//! `stats-collector`'s to find out.

mod accuse;
mod adopt;
mod assign;
mod connect;
mod draw;
mod edges;
mod excluded;
mod gather;
mod indexed;
mod link;
mod measure;
mod nodes;
mod pairing;
mod reports;
mod sdp;
mod seat;
mod state;
mod stun;
mod test_pull;
mod tracker;
mod tune;
mod viewer;
mod watch;
mod work;

use std::{net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use storage::Database;
use types::{Bitrate, NodeId, StreamId};

pub(crate) use connect::{MAX_MESSAGE as MAX_NODE_MESSAGE, NodeService};
pub(crate) use gather::Gather;
pub(crate) use seat::Condition;
pub(crate) use stun::{Stun, bind as bind_stun};
pub(crate) use tracker::route as tracker_route;
pub(crate) use viewer::View;
pub(crate) use watch::Watching;

use crate::{KeyRing, Settings, accounts::Signing, live::Live, registry::Registry};
use state::State;

/// The swarm of everybody here. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Swarm {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    database: Database,
    keys: KeyRing,
    signing: Signing,
    live: Arc<Live>,
    registry: Registry,
    gather: Gather,
    settings: Settings,
    tickets: measure::Tickets,
    told: edges::Told,
    suspicions: test_pull::Suspicions,
}

/// How a node does on a stream now.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) condition: Condition,
    pub(crate) viewers: u32,
    pub(crate) bitrate: Bitrate,
    pub(crate) measured: Option<Bitrate>,
    pub(crate) limit: Option<Bitrate>,
    pub(crate) version: String,
}

/// What a swarm is made with.
pub(crate) struct Parts {
    pub(crate) database: Database,
    pub(crate) keys: KeyRing,
    pub(crate) signing: Signing,
    pub(crate) live: Arc<Live>,
    pub(crate) registry: Registry,
    pub(crate) gather: Gather,
    pub(crate) settings: Settings,
}

impl Swarm {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            database,
            keys,
            signing,
            live,
            registry,
            gather,
            settings,
        } = parts;
        let state = State::new(keys.clone(), gather.clone());
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                database,
                keys,
                signing,
                live,
                registry,
                gather,
                settings,
                tickets: measure::Tickets::default(),
                told: edges::Told::default(),
                suspicions: test_pull::Suspicions::default(),
            }),
        }
    }

    /// This coordinator keeps the swarm from now on: nodes and pages come to it.
    pub(crate) fn take_over(&self) {
        self.inner.state.lock().kept = true;
    }

    /// Another coordinator keeps the swarm: whoever is connected here is sent away, and comes to that one.
    pub(crate) fn let_go(&self) {
        let empty = State::new(self.inner.keys.clone(), self.inner.gather.clone());
        let before = std::mem::replace(&mut *self.inner.state.lock(), empty);
        // Their queues close with it, and with those their connections.
        drop(before);
    }

    pub(super) fn is_kept(&self) -> bool {
        self.inner.state.lock().kept
    }

    /// How a node does on a stream, if it is connected.
    pub(crate) fn seen(&self, node: NodeId, stream: StreamId) -> Option<Seen> {
        let state = self.inner.state.lock();
        let seat = state.seats.get(&node)?;
        let id = stream.to_string();
        let load = seat.beat.streams.iter().find(|load| load.stream_id == id);
        let limit = seat.beat.max_bitrate_bps;
        // It serves nobody but who it was given.
        let given = seat
            .serving
            .get(&stream)
            .map_or(0, std::collections::HashSet::len);
        let given = u32::try_from(given).unwrap_or(u32::MAX);
        Some(Seen {
            condition: seat.condition(stream),
            viewers: load.map_or(0, |load| load.viewers.min(given)),
            bitrate: Bitrate::new(load.map_or(0, |load| load.bitrate_bps)),
            measured: seat.measured,
            limit: (limit > 0).then(|| Bitrate::new(limit)),
            version: seat.version.clone(),
        })
    }

    /// Whether a node is connected.
    pub(crate) fn is_online(&self, node: NodeId) -> bool {
        self.inner.state.lock().seats.contains_key(&node)
    }

    /// Nodes that carry the stream now, by what its streamer calls them.
    pub(crate) fn carrying(&self, stream: StreamId) -> Vec<(NodeId, String)> {
        let state = self.inner.state.lock();
        let carriers = state.carriers.get(&stream);
        let carriers = carriers
            .into_iter()
            .flat_map(|carriers| carriers.all.iter());
        let seats = carriers.filter_map(|node| state.seats.get(&node));
        seats
            .filter_map(|seat| Some((seat.node, seat.streams.get(&stream)?.name.clone())))
            .collect()
    }

    /// Sessions that friends carry now.
    pub(crate) fn carried(&self, stream: StreamId) -> u32 {
        let state = self.inner.state.lock();
        let audience = state.audiences.get(&stream);
        audience.map_or(0, |audience| audience.carried)
    }

    pub(crate) fn gather(&self) -> &Gather {
        &self.inner.gather
    }

    /// The friend's own page, for who has its address.
    pub(crate) fn supporter_url(&self, links: &crate::rest::Links, node: NodeId) -> String {
        format!(
            "{}/supporter/{node}#{}",
            links.pages(),
            self.supporter_key(node)
        )
    }

    /// What opens a friend's own page.
    pub(crate) fn supporter_key(&self, node: NodeId) -> String {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let id = node.as_uuid();
        let hash = self
            .inner
            .keys
            .hash_secret(crate::keys::Purpose::Supporter, id.as_bytes());
        URL_SAFE_NO_PAD.encode(&hash.0[..18])
    }

    /// Where the session's page is seen to be.
    fn viewer_address(address: IpAddr) -> IpAddr {
        address.to_canonical()
    }
}
