//! What nodes and sessions of the simulation know of one another, beside what the server tells them.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Instant,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use types::NodeId;

/// Times that are kept.
const MAX_TIMES: usize = 1_000_000;

/// A link that a node was given to a session.
pub(super) struct Given {
    pub(super) node: NodeId,
    pub(super) link: Bytes,
    /// Where its node hears that the session is gone.
    pub(super) gone: mpsc::Sender<Bytes>,
}

/// By the session's number.
pub(super) struct Links {
    began: Instant,
    /// When the session announced itself, in nanoseconds; zero: no node is awaited.
    announced: Vec<AtomicU64>,
    given: Vec<Mutex<Vec<Given>>>,
    times: Mutex<Vec<f64>>,
    carried: AtomicUsize,
}

impl Links {
    pub(super) fn new(most: usize) -> Self {
        Self {
            began: Instant::now(),
            announced: (0..most).map(|_| AtomicU64::new(0)).collect(),
            given: (0..most).map(|_| Mutex::default()).collect(),
            times: Mutex::default(),
            carried: AtomicUsize::new(0),
        }
    }

    /// How many sessions there may be, those included that left.
    pub(super) fn most(&self) -> usize {
        self.given.len()
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// A session announces itself for the first time.
    pub(super) fn announces(&self, number: usize) {
        if let Some(at) = self.announced.get(number) {
            at.store(self.now().max(1), Ordering::Relaxed);
        }
    }

    /// A node heard of a session.
    pub(super) fn give(&self, number: usize, given: Given) {
        let (Some(at), Some(all)) = (self.announced.get(number), self.given.get(number)) else {
            return;
        };
        let announced = at.swap(0, Ordering::Relaxed);
        if announced > 0 {
            let mut times = self.times.lock();
            if times.len() < MAX_TIMES {
                times.push((self.now() - announced) as f64 / 1e6);
            }
        }
        let mut all = all.lock();
        if all.is_empty() {
            self.carried.fetch_add(1, Ordering::Relaxed);
        }
        all.push(given);
    }

    /// The nodes of a session, sorted.
    pub(super) fn nodes(&self, number: usize) -> Vec<NodeId> {
        let Some(all) = self.given.get(number) else {
            return Vec::new();
        };
        let mut nodes: Vec<NodeId> = all.lock().iter().map(|given| given.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// A session leaves: its nodes see their channels end.
    pub(super) fn leave(&self, number: usize) {
        let Some(all) = self.given.get(number) else {
            return;
        };
        let all = std::mem::take(&mut *all.lock());
        if !all.is_empty() {
            self.carried.fetch_sub(1, Ordering::Relaxed);
        }
        for given in all {
            // A node that is gone need not hear it.
            let _ = given.gone.try_send(given.link);
        }
    }

    /// Sessions that have a node.
    pub(super) fn carried(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }

    /// From announces to nodes, in milliseconds.
    pub(super) fn times(&self) -> Vec<f64> {
        self.times.lock().clone()
    }

    pub(super) fn forget_times(&self) {
        self.times.lock().clear();
    }
}

/// A description as pages make it, with the session's number where its origin is told.
pub(super) fn description(number: usize) -> String {
    let candidate = |(place, address): (usize, &&str)| {
        format!("a=candidate:{place} 1 udp 2113937151 {address} 40000 typ host generation 0\r\n")
    };
    let addresses = ["0b3a6f1c-5a9e.local", "127.0.0.1", "198.51.100.7"];
    let candidates: String = addresses.iter().enumerate().map(candidate).collect();
    let head = format!(
        "v=0\r\no=- {number} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
         m=application 40000 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 127.0.0.1\r\n"
    );
    head + &candidates
        + "a=ice-ufrag:Yx3k\r\na=ice-pwd:0123456789abcdefghijklmn\r\na=ice-options:trickle\r\n\
           a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
           10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
           a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"
}

/// The session's number that a description tells.
pub(super) fn number(sdp: &str) -> Option<usize> {
    let line = sdp.lines().find_map(|line| line.strip_prefix("o=- "))?;
    line.split(' ').next()?.parse().ok()
}
