//! How the node is: the numbers of the local page and of `streamr-node status`.

use serde::{Deserialize, Serialize};

use crate::{
    VERSION,
    limits::Standing,
    memory::Notice,
    node::{Node, ServerState},
    settings::LimitsChange,
};

/// It.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Of the program.
    pub(crate) version: String,
    /// The friend's switch.
    pub(crate) help: bool,
    /// New viewers are welcome.
    pub(crate) helping: bool,
    /// Why, or why not.
    pub(crate) standing: String,
    /// Served now.
    pub(crate) viewers: u32,
    /// Uploaded now, bits per second.
    pub(crate) bitrate_bps: u64,
    /// The limit, bits per second.
    pub(crate) limit_bps: Option<u64>,
    /// Uploaded today.
    pub(crate) today_bytes: u64,
    /// Uploaded this month.
    pub(crate) month_bytes: u64,
    /// Uploaded ever.
    pub(crate) total_bytes: u64,
    /// How viewers reach the node.
    pub(crate) reach: Reach,
    /// As the page changes them.
    pub(crate) limits: LimitsChange,
    /// Coordinators.
    pub(crate) servers: Vec<ServerStatus>,
    /// From streamers, the newest last.
    pub(crate) messages: Vec<Notice>,
}

/// How viewers reach the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// `direct`, `punched` or `unknown`.
    pub(crate) how: String,
    /// In words.
    pub(crate) words: String,
    /// The address that the world sees.
    pub(crate) address: Option<String>,
}

/// A coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerStatus {
    /// Where it is.
    pub(crate) origin: String,
    /// What it shows viewers.
    pub(crate) name: String,
    /// Now.
    pub(crate) connected: bool,
    /// What is wrong.
    pub(crate) trouble: Option<String>,
    /// Its clock is so much ahead of ours, in milliseconds.
    pub(crate) clock_ahead_ms: i64,
    /// The page there that shows what this node carried; empty: none.
    pub(crate) supporter_url: String,
    /// The streams that are helped there.
    pub(crate) streams: Vec<StreamStatus>,
    /// Reports that it did not take yet.
    pub(crate) reports_waiting: usize,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamStatus {
    /// In addresses.
    pub(crate) slug: String,
    /// For people.
    pub(crate) title: String,
    /// Whose it is.
    pub(crate) streamer: String,
    /// It is pulled and served now.
    pub(crate) active: bool,
    /// Served now.
    pub(crate) viewers: u32,
    /// Uploaded now, bits per second.
    pub(crate) bitrate_bps: u64,
    /// Segments that were not what the origin signed.
    pub(crate) bad_segments: u32,
    /// What is wrong.
    pub(crate) trouble: Option<String>,
}

impl Status {
    /// Now.
    pub(crate) async fn of(node: &Node) -> Self {
        let outer = node.peer.outer().await;
        let standing = node.standing();
        let limits = node.limits.lock().clone();
        let loads = node.loads.lock().clone();
        let memory = node.memory.lock().clone();
        let servers = node.servers();
        let stun = servers
            .iter()
            .any(|server| server.standing.lock().connected);
        Self {
            version: VERSION.to_owned(),
            help: memory.help,
            helping: standing == Standing::Helping,
            standing: standing.words().to_owned(),
            viewers: node.viewers(),
            bitrate_bps: loads.values().map(|load| load.bitrate().get()).sum(),
            limit_bps: limits.bitrate.map(types::Bitrate::get),
            today_bytes: memory.day_bytes.get(),
            month_bytes: memory.month_bytes.get(),
            total_bytes: memory.total_bytes.get(),
            reach: reach(outer, stun),
            limits: LimitsChange {
                max_mbit: Some(limits.bitrate.map_or(0.0, |b| b.get() as f64 / 1e6)),
                month_gb: Some(limits.month.map_or(0.0, |b| b.get() as f64 / 1e9)),
                hours: Some(limits.hours.map_or_else(String::new, |h| h.to_string())),
                max_viewers: Some(limits.viewers.unwrap_or_default()),
                only: Some(limits.only),
            },
            servers: servers
                .iter()
                .map(|server| of_server(node, server, &loads))
                .collect(),
            messages: memory.messages,
        }
    }
}

fn of_server(
    node: &Node,
    server: &ServerState,
    loads: &std::collections::HashMap<types::StreamId, crate::node::Load>,
) -> ServerStatus {
    let known = node.identity.lock();
    let known = known
        .servers
        .iter()
        .find(|known| known.origin == server.origin);
    let pulls = server.pulls.lock();
    let streams = known.iter().flat_map(|known| &known.streams).map(|stream| {
        let (pull, load) = (pulls.get(&stream.id), loads.get(&stream.id));
        StreamStatus {
            slug: stream.slug.clone(),
            title: stream.title.clone(),
            streamer: stream.streamer.clone(),
            active: pull.is_some(),
            viewers: load.map_or(0, |load| load.viewers),
            bitrate_bps: load.map_or(0, |load| load.bitrate().get()),
            bad_segments: pull.map_or(0, |p| p.bad.load(std::sync::atomic::Ordering::Relaxed)),
            trouble: pull.and_then(|pull| pull.trouble()),
        }
    });
    let standing = server.standing.lock().clone();
    ServerStatus {
        origin: server.origin.to_string(),
        name: known.map_or_else(String::new, |known| known.name.clone()),
        connected: standing.connected,
        trouble: standing.trouble,
        clock_ahead_ms: standing.clock_ahead_ms,
        supporter_url: standing.supporter_url,
        streams: streams.collect(),
        reports_waiting: server.reporter.lock().waiting(),
    }
}

fn reach(outer: peer::Outer, connected: bool) -> Reach {
    let (how, words) = match (outer.address, outer.direct) {
        (Some(_), true) => ("direct", "viewers reach this machine directly"),
        (Some(_), false) => (
            "punched",
            "viewers reach this machine through your router, by hole punching",
        ),
        (None, _) if connected => (
            "unknown",
            "the coordinator's STUN responder (UDP 3478) does not answer: a firewall may block UDP. \
             Viewers in your own network are served all the same",
        ),
        (None, _) => ("unknown", "not connected to a coordinator yet"),
    };
    Reach {
        how: how.to_owned(),
        words: words.to_owned(),
        address: outer.address.map(|address| address.to_string()),
    }
}
