//! A node that does not keep to the rules: enrols and serves as a friend's does, with a fault.

mod claims;
mod pull;
mod wire;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use parking_lot::Mutex;
use peer::{Event, LinkId, Options, Peer};
use proto::node::{
    Description, Heartbeat, LinkPhase, LinkState, Pong, StreamLoad, StreamWork,
    connect_request::Message as Up, connect_response::Message as Down,
};
use runtime::Shutdown;
use tokio::time::{interval, timeout};
use tonic::Status;
use types::{Bitrate, NodeId, RunId, StreamId};

use self::{claims::Claims, pull::Pull};
use super::window::{Fault, Window};

pub use wire::{Key, Line, client, enrol, enrol_on};

/// For a description.
const DESCRIBE: Duration = Duration::from_secs(5);
/// Between two reports: sooner than is asked for, so that tests needn't wait.
const REPORT: Duration = Duration::from_secs(2);
/// What one that is slow sends to all its viewers together.
const SLOW: Bitrate = Bitrate::new(200_000);

/// What a rogue saw and did.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Viewers it was given.
    pub asked: u64,
    /// Data channels that opened.
    pub opened: u64,
    /// Data channels that it was told to let go of.
    pub dropped: u64,
    /// It was told that it helps no longer.
    pub revoked: bool,
    /// What the edge answered last.
    pub edge_status: Option<u16>,
    /// Bytes that viewers acknowledged.
    pub delivered: u64,
    /// Bytes that its reports claim.
    pub claimed: u64,
    /// Reports that the coordinator acknowledged.
    pub kept: u64,
    /// Why its connection ended.
    pub ended: Option<tonic::Code>,
    /// What went wrong last.
    pub trouble: String,
}

/// A node of ours with a fault. Gone when it is dropped.
#[derive(Debug)]
pub struct Rogue {
    /// What the coordinator calls it.
    pub node: NodeId,
    /// Its key.
    pub key: Key,
    /// Where it is connected.
    pub origin: String,
    seen: Arc<Mutex<Seen>>,
    shutdown: Shutdown,
}

impl Rogue {
    /// Accepts an invite and helps, in its way.
    pub async fn join(link: &str, name: &str, fault: Fault) -> Result<Self> {
        let key = Key::new();
        let node = enrol(link, &key, name).await?.context("enrol")?;
        let (origin, _) = wire::parts(link)?;
        let run = RunId::new();
        let line = Line::open(origin, &key, node, run).await;
        let line = line.context("connect")?;
        let (seen, shutdown) = (Arc::<Mutex<Seen>>::default(), Shutdown::new());
        let window = Arc::new(Window::new(fault));
        let source: Arc<dyn peer::Source> = window.clone();
        let (peer, events) = Peer::bind(Options::default(), source, &shutdown)?;
        if fault == Fault::Slow {
            peer.limit(Some(SLOW)).await;
        }
        let life = Life {
            line,
            peer,
            events,
            window,
            claims: Claims::new(node, run, key.clone(), fault),
            fault,
            pulls: HashMap::new(),
            calls: HashMap::new(),
            seen: seen.clone(),
            shutdown: shutdown.clone(),
        };
        shutdown.spawn_until_cancelled(life.run());
        Ok(Self {
            node,
            key,
            origin: origin.to_owned(),
            seen,
            shutdown,
        })
    }

    /// What it saw and did so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

struct Life {
    line: Line,
    peer: Peer,
    events: peer::Events,
    window: Arc<Window>,
    claims: Claims,
    fault: Fault,
    pulls: HashMap<StreamId, String>,
    calls: HashMap<u64, LinkId>,
    seen: Arc<Mutex<Seen>>,
    shutdown: Shutdown,
}

impl Life {
    async fn run(mut self) {
        if let Err(status) = self.converse().await {
            let mut seen = self.seen.lock();
            seen.ended = Some(status.code());
            seen.trouble = status.to_string();
        }
    }

    async fn converse(&mut self) -> Result<(), Status> {
        let beat = Duration::from_millis(u64::from(self.line.welcome.heartbeat_ms.max(100)));
        let (mut beat, mut report) = (interval(beat), interval(REPORT));
        loop {
            tokio::select! {
                message = self.line.hear() => self.told(message?).await?,
                event = self.events.recv() => match event {
                    Some(event) => self.happened(event).await?,
                    None => return Ok(()),
                },
                _ = beat.tick() => self.line.say(Up::Heartbeat(self.heartbeat())).await?,
                _ = report.tick() => self.report().await?,
            }
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        let newest = self.window.newest().map_or(0, types::Msn::get);
        let boasts = self.fault == Fault::Boast;
        let streams = self.pulls.keys().map(|stream| StreamLoad {
            stream_id: stream.to_string(),
            newest_msn: newest,
            viewers: if boasts { 1000 } else { 0 },
            ..StreamLoad::default()
        });
        Heartbeat {
            accepting: true,
            streams: streams.collect(),
            ..Heartbeat::default()
        }
    }

    async fn report(&mut self) -> Result<(), Status> {
        let delivered = self.peer.deliveries().await;
        let (reports, claimed) = self.claims.of(&delivered);
        {
            let mut seen = self.seen.lock();
            seen.delivered += delivered.iter().map(|part| part.bytes.get()).sum::<u64>();
            seen.claimed += claimed;
        }
        for report in reports {
            self.line.say(Up::Report(report)).await?;
        }
        Ok(())
    }

    async fn happened(&mut self, event: Event) -> Result<(), Status> {
        let (link, phase, address) = match event {
            Event::Opened { link, address, .. } => {
                self.seen.lock().opened += 1;
                (link, LinkPhase::Open, address)
            }
            Event::Closed { link, .. } => (link, LinkPhase::Closed, None),
            Event::Announced { .. } => return Ok(()),
        };
        let state = LinkState {
            link: link.as_bytes().clone(),
            phase: phase.into(),
            peer_address: address.map_or_else(String::new, |address| address.to_string()),
        };
        self.line.say(Up::LinkState(state)).await
    }

    async fn told(&mut self, message: Down) -> Result<(), Status> {
        match message {
            Down::Work(work) => work.streams.into_iter().for_each(|work| self.work(work)),
            Down::Offer(offer) => {
                self.seen.lock().asked += 1;
                let mut sdp = String::new();
                if let Some((link, stream)) = named(offer.link, &offer.stream_id) {
                    let answer = self.peer.answer(link, stream, offer.sdp);
                    sdp = said(timeout(DESCRIBE, answer).await);
                }
                let r#ref = offer.r#ref;
                self.line
                    .say(Up::Description(Description { r#ref, sdp }))
                    .await?;
            }
            Down::Call(call) => {
                self.seen.lock().asked += 1;
                let mut sdp = String::new();
                if let Some((link, stream)) = named(call.link, &call.stream_id) {
                    self.calls.insert(call.r#ref, link.clone());
                    sdp = said(timeout(DESCRIBE, self.peer.offer(link, stream)).await);
                }
                let r#ref = call.r#ref;
                self.line
                    .say(Up::Description(Description { r#ref, sdp }))
                    .await?;
            }
            Down::CallAnswer(answer) => {
                if let Some(link) = self.calls.remove(&answer.r#ref)
                    && let Err(error) = self.peer.accept(link, answer.sdp).await
                {
                    self.seen.lock().trouble = error.to_string();
                }
            }
            // It does not let go: the other end must.
            Down::Drop(_) => self.seen.lock().dropped += 1,
            Down::Revoked(_) => self.seen.lock().revoked = true,
            Down::ReportsKept(_) => self.seen.lock().kept += 1,
            Down::Ping(ping) => self.line.say(Up::Pong(Pong { nonce: ping.nonce })).await?,
            _ => {}
        }
        Ok(())
    }

    fn work(&mut self, work: StreamWork) {
        let id = work.stream.as_ref().map(|stream| stream.stream_id.parse());
        let Some(Ok(stream)) = id else { return };
        let before = self.pulls.insert(stream, work.session_id.clone());
        if before.as_ref() == Some(&work.session_id) {
            return;
        }
        let pull = Pull {
            stream,
            work,
            window: self.window.clone(),
            peer: self.peer.clone(),
            seen: self.seen.clone(),
        };
        self.shutdown.spawn_until_cancelled(pull.run());
    }
}

fn named(link: Bytes, stream: &str) -> Option<(LinkId, StreamId)> {
    Some((LinkId::new(link)?, stream.parse().ok()?))
}

/// A description; an empty one when there is none.
fn said<E>(made: Result<Result<String, peer::Refused>, E>) -> String {
    made.ok().and_then(Result::ok).unwrap_or_default()
}
