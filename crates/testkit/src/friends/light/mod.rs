//! A viewer without a browser: takes each segment from a peer if it can, and from the edge if it must.

mod playhead;
mod playlist;
mod session;
mod tracker;
mod watching;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use economy::Receipt;
use p2p::tracker::PeerId;
use parking_lot::Mutex;
use peer::{LinkId, Options, Peer};
use runtime::Shutdown;
use serde::Deserialize;
use tokio::time::{interval, sleep};
use types::{ByteCount, Msn, NodeId};

use self::{
    playhead::Playhead,
    tracker::{Links, Talk},
    watching::Watching,
};
use super::{
    Carried,
    window::{Fault, Window},
};
use crate::{Sandbox, http::Answer};

pub use session::{Session, now_ms};
pub use tracker::{Socket, announce, announce_as, connect, shout, until_closed};

/// Between two receipts: sooner than pages, so that tests needn't wait.
const RECEIPT: Duration = Duration::from_secs(5);
/// For the other ends to hear that all came: SCTP acknowledges within a fifth of a second.
const ACKNOWLEDGED: Duration = Duration::from_millis(500);
/// For the last one to be taken.
const LEAVING: Duration = Duration::from_secs(20);
/// How long the own outer address is waited for.
const OUTER: Duration = Duration::from_millis(500);

/// How a light viewer plays.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Segments of the past that are taken at first.
    pub behind: usize,
    /// Media that is there before it begins to play.
    pub ahead: Duration,
    /// How long one peer may take for a segment.
    pub one_peer: Duration,
    /// With less than this left to play, the edge is asked; zero: peers are always waited for.
    pub short: Duration,
    /// It signs receipts while it watches; else only when it leaves, if it does.
    pub signs: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            behind: 2,
            ahead: Duration::from_secs(4),
            one_peer: Duration::from_secs(2),
            short: Duration::ZERO,
            signs: true,
        }
    }
}

/// What a light viewer counts.
#[derive(Debug, Clone, Default)]
pub struct LightCounts {
    /// Verified bytes by who sent them.
    pub bytes: Carried,
    /// The same of each node.
    pub by_node: BTreeMap<NodeId, u64>,
    /// Segments played, and the hash of what was played.
    pub played: BTreeMap<Msn, [u8; 32]>,
    /// Segments that came and were wrong.
    pub rejected: u64,
    /// Segments that a peer said it has, and that did not come.
    pub missed: u64,
    /// How often the picture would have stood still, and for how long.
    pub stalls: u32,
    /// In all.
    pub stalled: Duration,
    /// From its coming to the first segment.
    pub startup: Option<Duration>,
    /// How long ago the picture was made that is shown now.
    pub behind: Option<Duration>,
    /// Data channels that are open.
    pub links: usize,
    /// What went wrong last.
    pub trouble: String,
}

#[derive(Debug, Default)]
struct State {
    by_peer: HashMap<PeerId, u64>,
    edge: u64,
    played: BTreeMap<Msn, [u8; 32]>,
    rejected: u64,
    missed: u64,
    playhead: Playhead,
    /// How old the first segment was when it came.
    age: Option<Duration>,
    nodes: HashMap<String, NodeId>,
    counter: u64,
    trouble: String,
}

/// Shared by a viewer's tasks.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    links: Links,
}

/// A viewer without a browser. Gone, without a word, when it is dropped.
#[derive(Debug)]
pub struct Light {
    /// Its session.
    pub session: Session,
    shared: Arc<Shared>,
    shutdown: Shutdown,
    /// What takes segments and signs for them.
    taking: Shutdown,
}

impl Light {
    /// Watches a stream with whoever helps.
    pub async fn watch(sandbox: &Sandbox, slug: &str) -> Result<Self> {
        let session = Session::open(sandbox, slug, true).await?;
        Self::with(session, Habits::default()).await
    }

    /// The same, by the coordinator at `origin` for as long as that one lives.
    pub async fn watch_at(sandbox: &Sandbox, slug: &str, origin: &str) -> Result<Self> {
        let mut session = Session::open(sandbox, slug, true).await?;
        session.prefer(origin)?;
        Self::with(session, Habits::default()).await
    }

    /// Watches a stream from the edge alone.
    pub async fn alone(sandbox: &Sandbox, slug: &str) -> Result<Self> {
        let session = Session::open(sandbox, slug, false).await?;
        ensure!(session.trackers.is_empty(), "who opts out has no tracker");
        Self::with(session, Habits::default()).await
    }

    /// Watches by a session that is open.
    pub async fn with(session: Session, habits: Habits) -> Result<Self> {
        let (shared, shutdown) = (Arc::<Shared>::default(), Shutdown::new());
        shared.state.lock().playhead.ahead = habits.ahead;
        let window = Arc::new(Window::new(Fault::Honest));
        let source: Arc<dyn peer::Source> = window.clone();
        let (peer, events) = Peer::bind(Options::default(), source, &shutdown)?;
        if let Some(url) = session.trackers.first() {
            find_outer(&session, &peer).await?;
            let talk = Talk {
                socket: connect(url).await.context("the tracker")?,
                trackers: session.trackers.clone(),
                stream: session.stream,
                me: tracker::new_peer_id(),
                peer: peer.clone(),
                events,
                links: shared.links.clone(),
            };
            let to = shared.clone();
            shutdown.spawn_until_cancelled(async move {
                if let Err(error) = talk.run().await {
                    to.state.lock().trouble = format!("tracker: {error:#}");
                }
            });
            let named = names(session.clone(), shared.clone(), peer.clone());
            shutdown.spawn_until_cancelled(named);
        }
        let media = playlist::media(&session.client, &session.playlist).await?;
        let watching = Watching {
            session: session.clone(),
            media,
            peer,
            window,
            shared: shared.clone(),
            habits,
        };
        let taking = Shutdown::new();
        taking.spawn_until_cancelled(watching.run());
        if habits.signs {
            taking.spawn_until_cancelled(receipts(session.clone(), shared.clone()));
        }
        Ok(Self {
            session,
            shared,
            shutdown,
            taking,
        })
    }

    /// What it counts.
    pub fn counts(&self) -> LightCounts {
        self.shared.counts()
    }

    /// Accuses a node of wrong bytes in the newest segment, whatever it sent.
    pub async fn accuse(&self, node: NodeId) -> Result<Answer> {
        let (peer, msn) = {
            let state = self.shared.state.lock();
            let named = state.nodes.iter().find(|(_, named)| **named == node);
            let peer = named.map(|(peer, _)| peer.clone());
            (
                peer.context("a peer id")?,
                state.played.keys().next_back().copied(),
            )
        };
        let msn = msn.context("a segment")?.get();
        self.session.accuse(&peer, 1, msn, &"0".repeat(64)).await
    }

    /// The receipt that is due, under a new number.
    pub fn receipt(&self) -> Receipt {
        self.shared.receipt(&self.session)
    }

    /// Leaves with a last receipt, as pages do. What it answers is what that says.
    pub async fn leave(self) -> Result<LightCounts> {
        self.go().await?.sign().await
    }

    /// Leaves, and signs for nothing yet.
    pub async fn go(self) -> Result<Gone> {
        ensure!(self.taking.drain().await, "it goes on taking segments");
        sleep(ACKNOWLEDGED).await;
        self.shutdown.cancel();
        Ok(Gone {
            session: self.session.clone(),
            shared: self.shared.clone(),
        })
    }
}

/// A viewer that left.
#[derive(Debug)]
pub struct Gone {
    session: Session,
    shared: Arc<Shared>,
}

impl Gone {
    /// Signs for all that it got.
    pub async fn sign(self) -> Result<LightCounts> {
        // Again while nobody answers, as pages do.
        crate::eventually(LEAVING, "the last receipt", || async {
            let answer = send(&self.session, &self.shared).await?;
            ensure!(answer.status == 200, "the last receipt: {}", answer.text());
            Ok(Some(()))
        })
        .await?;
        Ok(self.shared.counts())
    }
}

impl Drop for Light {
    fn drop(&mut self) {
        self.taking.cancel();
        self.shutdown.cancel();
    }
}

impl Shared {
    fn counts(&self) -> LightCounts {
        let links = self.links.lock().values().filter(|link| link.open).count();
        let state = self.state.lock();
        let mut counts = LightCounts {
            played: state.played.clone(),
            rejected: state.rejected,
            missed: state.missed,
            stalls: state.playhead.stalls,
            stalled: state.playhead.stalled,
            startup: state.playhead.startup(),
            behind: state.age.and_then(|age| state.playhead.behind(age)),
            links,
            trouble: state.trouble.clone(),
            ..LightCounts::default()
        };
        counts.bytes.edge = state.edge;
        for (peer, bytes) in &state.by_peer {
            let peer = peer.to_binary_string();
            if !peer.starts_with("-FN") {
                counts.bytes.peers += bytes;
                continue;
            }
            counts.bytes.friends += bytes;
            if let Some(node) = state.nodes.get(&peer) {
                *counts.by_node.entry(*node).or_default() += bytes;
            }
        }
        counts
    }

    /// Learns who the nodes are. Answers the links that are to be closed.
    fn take(&self, view: View) -> Vec<LinkId> {
        let named = view.nodes.into_iter();
        let named = named.map(|Named { peer_id, node }| (peer_id, node));
        self.state.lock().nodes.extend(named);
        let is_dropped =
            |link: &tracker::Link| view.dropped.contains(&link.peer.to_binary_string());
        let mut links = self.links.lock();
        let dropped = links.extract_if(|_, link| is_dropped(link));
        dropped.map(|(link, _)| link).collect()
    }

    fn receipt(&self, session: &Session) -> Receipt {
        let counts = self.counts();
        let mut state = self.state.lock();
        state.counter += 1;
        let nodes = counts.by_node.into_iter();
        Receipt {
            session: session.id,
            epoch: 1,
            counter: state.counter,
            at_ms: now_ms(),
            nodes: nodes
                .map(|(node, bytes)| (node, ByteCount::new(bytes)))
                .collect(),
            peers: ByteCount::new(counts.bytes.peers),
            edge: ByteCount::new(counts.bytes.edge),
        }
    }
}

/// Asks how the world sees this viewer, as pages do. Without an answer it goes on.
async fn find_outer(session: &Session, peer: &Peer) -> Result<()> {
    let mut servers = Vec::new();
    for server in &session.stun {
        let address = server.strip_prefix("stun:").unwrap_or(server);
        servers.extend(tokio::net::lookup_host(address).await?);
    }
    peer.stun(servers).await;
    let since = tokio::time::Instant::now();
    while since.elapsed() < OUTER && peer.outer().await.address.is_none() {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn send(session: &Session, shared: &Shared) -> Result<Answer> {
    let receipt = shared.receipt(session);
    let signature = session.sign(&receipt);
    match session.send(&receipt, signature).await {
        // A kept connection may end as it is used; what was said twice counts once.
        Err(_) => session.send(&receipt, signature).await,
        answer => answer,
    }
}

async fn receipts(session: Session, shared: Arc<Shared>) {
    let mut due = interval(RECEIPT);
    due.tick().await;
    loop {
        due.tick().await;
        let problem = match send(&session, &shared).await {
            Ok(answer) if answer.status == 200 => continue,
            Ok(answer) => answer.text(),
            Err(error) => format!("{error:#}"),
        };
        shared.state.lock().trouble = format!("receipt: {problem}");
    }
}

#[derive(Deserialize)]
struct Named {
    peer_id: String,
    node: NodeId,
}

#[derive(Deserialize)]
struct View {
    nodes: Vec<Named>,
    #[serde(default)]
    dropped: Vec<String>,
}

/// Listens to who the nodes are that carry the session, and lets go of whom it is told to.
async fn names(session: Session, shared: Arc<Shared>, peer: Peer) {
    loop {
        if let Err(error) = listen(&session, &shared, &peer).await {
            shared.state.lock().trouble = format!("events: {error:#}");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn listen(session: &Session, shared: &Shared, peer: &Peer) -> Result<()> {
    let request = session.client.get(session.events());
    let mut answer = request.timeout(Duration::from_hours(1)).send().await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let mut text = String::new();
    while let Some(chunk) = answer.chunk().await? {
        text += &String::from_utf8_lossy(&chunk);
        while let Some((line, rest)) = text.split_once('\n') {
            if let Some(data) = line.strip_prefix("data:") {
                for link in shared.take(serde_json::from_str(data.trim())?) {
                    peer.close(link).await;
                }
            }
            text = rest.to_owned();
        }
    }
    Ok(())
}
