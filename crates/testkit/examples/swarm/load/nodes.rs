//! Simulated nodes: enrolled and connected as real ones are, they answer and beat and move no media.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use proto::node::{
    Description, Heartbeat, LinkPhase, LinkState, Pong, connect_request::Message as Up,
    connect_response::Message as Down, node_client::NodeClient,
};
use runtime::Shutdown;
use testkit::{
    Account, Sandbox,
    friends::{
        invite,
        rogue::{Key, Line, client, enrol_on},
    },
};
use tokio::{sync::mpsc, task::JoinSet, time::interval};
use tonic::{Status, transport::Channel};
use types::{NodeId, RunId};

use super::links::{Given, Links, description, number};
use crate::report::progress;

/// Joining at once.
const ABREAST: usize = 24;
/// Nodes that share a connection: each has a stream of it, and descriptors last for more sessions.
const SHARING: usize = 100;
/// Between two heartbeats, as nodes are told.
const BEAT: Duration = Duration::from_secs(2);
/// Sessions that leave a node at once.
const LEAVING: usize = 64;

#[derive(Default)]
struct Counts {
    connected: AtomicUsize,
    failed: AtomicUsize,
    beats: AtomicU64,
}

/// Nodes that are connected. They go when this is dropped.
pub(super) struct Nodes {
    counts: Arc<Counts>,
    shutdown: Shutdown,
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Nodes {
    /// Invites, enrols and connects them.
    pub(super) async fn join(
        sandbox: &Sandbox,
        slugs: &[String],
        count: usize,
        links: &Arc<Links>,
    ) -> Result<Self> {
        let owner = sandbox.owner().await?;
        let nodes = Self {
            counts: Arc::default(),
            shutdown: Shutdown::new(),
        };
        let mut joining = JoinSet::new();
        let mut connection = client(&sandbox.pages()).await?;
        for (place, slug) in slugs.iter().cycle().take(count).enumerate() {
            if joining.len() >= ABREAST {
                nodes.joined(joining.join_next().await);
            }
            if place % 1000 == 999 {
                progress(&format!("  {} nodes", place + 1));
            }
            if place % SHARING == SHARING - 1 {
                connection = client(&sandbox.pages()).await?;
            }
            let join = join(
                owner.clone(),
                connection.clone(),
                slug.clone(),
                links.clone(),
                nodes.counts.clone(),
                nodes.shutdown.clone(),
            );
            joining.spawn(join);
        }
        while let Some(joined) = joining.join_next().await {
            nodes.joined(Some(joined));
        }
        Ok(nodes)
    }

    fn joined(&self, joined: Option<Result<Result<()>, tokio::task::JoinError>>) {
        if let Some(Ok(Err(error))) = joined
            && self.counts.failed.fetch_add(1, Ordering::Relaxed) < 3
        {
            progress(&format!("  a node did not join: {error:#}"));
        }
    }

    pub(super) fn connected(&self) -> usize {
        self.counts.connected.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> usize {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// Heartbeats so far.
    pub(super) fn beats(&self) -> u64 {
        self.counts.beats.load(Ordering::Relaxed)
    }
}

async fn join(
    owner: Account,
    connection: NodeClient<Channel>,
    slug: String,
    links: Arc<Links>,
    counts: Arc<Counts>,
    shutdown: Shutdown,
) -> Result<()> {
    let link = invite(&owner, &slug, "Simulated").await?;
    let key = Key::new();
    let enrolled = enrol_on(connection.clone(), &link, &key, "Simulated");
    let node = enrolled.await?.context("enrol")?;
    let line = Line::open_on(connection, &key, node, RunId::new()).await;
    let line = line.context("connect")?;
    let (gone, left) = mpsc::channel(LEAVING);
    let life = Life {
        line,
        node,
        links,
        counts: counts.clone(),
        calls: HashMap::new(),
        gone,
        left,
    };
    counts.connected.fetch_add(1, Ordering::Relaxed);
    shutdown.spawn_until_cancelled(async move {
        let ended = life.run().await;
        if let Err(status) = ended
            && counts
                .connected
                .fetch_sub(1, Ordering::Relaxed)
                .is_multiple_of(1000)
        {
            progress(&format!("  a node's connection ended: {status}"));
        }
    });
    Ok(())
}

struct Life {
    line: Line,
    node: NodeId,
    links: Arc<Links>,
    counts: Arc<Counts>,
    calls: HashMap<u64, Bytes>,
    gone: mpsc::Sender<Bytes>,
    left: mpsc::Receiver<Bytes>,
}

impl Life {
    async fn run(mut self) -> Result<(), Status> {
        // Not all in the same moment.
        tokio::time::sleep(BEAT.mul_f64(rand::random())).await;
        let mut beat = interval(BEAT);
        loop {
            tokio::select! {
                message = self.line.hear() => self.told(message?).await?,
                link = self.left.recv() => match link {
                    Some(link) => self.link(link, LinkPhase::Closed).await?,
                    None => return Ok(()),
                },
                _ = beat.tick() => {
                    let beat = Heartbeat { accepting: true, ..Heartbeat::default() };
                    self.line.say(Up::Heartbeat(beat)).await?;
                    self.counts.beats.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    async fn told(&mut self, message: Down) -> Result<(), Status> {
        match message {
            Down::Offer(offer) => {
                self.given(&offer.sdp, offer.link.clone());
                self.describe(offer.r#ref).await?;
                self.link(offer.link, LinkPhase::Open).await
            }
            Down::Call(call) => {
                self.calls.insert(call.r#ref, call.link);
                self.describe(call.r#ref).await
            }
            Down::CallAnswer(answer) => match self.calls.remove(&answer.r#ref) {
                Some(link) => {
                    self.given(&answer.sdp, link.clone());
                    self.link(link, LinkPhase::Open).await
                }
                None => Ok(()),
            },
            Down::Drop(drop) => self.link(drop.link, LinkPhase::Closed).await,
            Down::Ping(ping) => self.line.say(Up::Pong(Pong { nonce: ping.nonce })).await,
            _ => Ok(()),
        }
    }

    fn given(&self, sdp: &str, link: Bytes) {
        if let Some(number) = number(sdp) {
            let given = Given {
                node: self.node,
                link,
                gone: self.gone.clone(),
            };
            self.links.give(number, given);
        }
    }

    async fn describe(&self, r#ref: u64) -> Result<(), Status> {
        let sdp = description(0);
        self.line
            .say(Up::Description(Description { r#ref, sdp }))
            .await
    }

    async fn link(&self, link: Bytes, phase: LinkPhase) -> Result<(), Status> {
        let state = LinkState {
            link,
            phase: phase.into(),
            peer_address: "127.0.0.1:40000".to_owned(),
        };
        self.line.say(Up::LinkState(state)).await
    }
}
