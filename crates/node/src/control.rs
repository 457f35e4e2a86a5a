//! Speaking with one coordinator, for as long as the node runs: connects, says how it is, does what it is told.

mod messages;
mod pulls;
mod upload;

use std::{collections::HashMap, sync::Arc, time::Duration};

use proto::node::{
    ConnectRequest, ConnectResponse, Hello, LinkPhase, LinkState, Welcome,
    connect_request::Message as Up, connect_response::Message as Down,
};
use runtime::{Shutdown, backoff::Backoff};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use types::Bitrate;

use self::pulls::Running;
use crate::{
    VERSION, clock,
    error::Error,
    net::Client,
    node::{LinkChange, Node, ServerState, split},
    verify::OriginKeys,
};

/// For the coordinator's next word while connecting, and for it to take ours.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two attempts to reach a coordinator that is away: viewers lack this node until then.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Messages up that wait.
const MAX_WAITING: usize = 256;
/// As asked by coordinators, within reason.
const EVERY: std::ops::RangeInclusive<u64> = 500..=60_000;
/// Calls that wait for the viewer's answer.
const MAX_CALLS: usize = 256;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error(transparent)]
    Connect(#[from] Error),
    #[error("{}", words(.0))]
    Status(#[from] Status),
    #[error("the coordinator does not answer")]
    Silent,
    #[error("the coordinator closed the connection")]
    Closed,
    #[error("the coordinator says what this version does not understand; get a newer streamr-node")]
    Protocol,
}

/// What a refusal means, in words for the friend.
fn words(status: &Status) -> String {
    let said = status.message();
    match status.code() {
        Code::AlreadyExists => format!(
            "this identity is connected from elsewhere: another streamr-node runs with a copy of identity.json. \
             Stop that one, or remove identity.json here and join again ({said})"
        ),
        Code::Unauthenticated => format!(
            "the coordinator does not know this node, or it was removed; ask your streamer for a new link ({said})"
        ),
        Code::PermissionDenied => format!("the coordinator lets this node in no longer ({said})"),
        Code::Unavailable => format!("the coordinator is away ({said})"),
        _ => format!("the coordinator answers {:?} ({said})", status.code()),
    }
}

impl Over {
    /// Trying soon again is of no use.
    fn is_refusal(&self) -> bool {
        let Self::Status(status) = self else {
            return false;
        };
        let refusals = [
            Code::AlreadyExists,
            Code::Unauthenticated,
            Code::PermissionDenied,
        ];
        refusals.contains(&status.code())
    }
}

/// The task that speaks with a coordinator.
pub(crate) struct Control {
    node: Arc<Node>,
    server: Arc<ServerState>,
    changes: mpsc::Receiver<LinkChange>,
    shutdown: Shutdown,
    keys: watch::Sender<OriginKeys>,
    pulls: HashMap<types::StreamId, Running>,
    /// Calls that wait for an answer: which link they are for.
    calls: HashMap<u64, peer::LinkId>,
    connections: u64,
}

/// A connection that was welcomed.
struct Session {
    up: mpsc::Sender<ConnectRequest>,
    client: Client,
    connection: u64,
}

impl Session {
    async fn say(&self, message: Up) -> Result<(), Over> {
        let message = ConnectRequest {
            message: Some(message),
        };
        match timeout(ANSWER, self.up.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over::Closed),
            Err(_) => Err(Over::Silent),
        }
    }
}

impl Control {
    /// For one coordinator; `shutdown` owns what it starts.
    pub(crate) fn new(
        node: Arc<Node>,
        server: Arc<ServerState>,
        changes: mpsc::Receiver<LinkChange>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            node,
            server,
            changes,
            shutdown,
            keys: watch::Sender::new(OriginKeys::default()),
            pulls: HashMap::new(),
            calls: HashMap::new(),
            connections: 0,
        }
    }

    /// Connects, and connects again after every break. Until the node stops.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(500), LONGEST_WAIT);
        let shutdown = self.shutdown.clone();
        loop {
            let started = Instant::now();
            let over = tokio::select! {
                () = shutdown.cancelled() => return,
                over = self.connection() => match over {
                    Ok(()) => Over::Closed,
                    Err(over) => over,
                },
            };
            if matches!(&over, Over::Status(status) if status.code() == Code::InvalidArgument) {
                self.server.reporter.lock().refused(self.connections);
            }
            let origin = &self.server.origin;
            tracing::warn!(%origin, error = %over, "not connected; trying again");
            {
                let mut standing = self.server.standing.lock();
                standing.connected = false;
                standing.trouble = Some(over.to_string());
            }
            if started.elapsed() > Duration::from_secs(60) {
                backoff.reset();
            }
            let wait = if over.is_refusal() {
                Duration::from_secs(30).mul_f64(rand::random_range(0.5..=1.0))
            } else {
                backoff.next_delay()
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn connection(&mut self) -> Result<(), Over> {
        self.connections += 1;
        let mut client = self.node.net.client(&self.server.origin).await?;
        let (up, said) = mpsc::channel(MAX_WAITING);
        let connecting = client.connect(ReceiverStream::new(said));
        let connected = timeout(ANSWER, connecting)
            .await
            .map_err(|_| Over::Silent)?;
        let mut down = connected?.into_inner();
        let session = Session {
            up,
            client,
            connection: self.connections,
        };
        let Down::Challenge(challenge) = hear(&mut down).await? else {
            return Err(Over::Protocol);
        };
        let (node_id, run) = (self.server.node_id, self.node.run);
        let hello = Hello {
            node_id: node_id.to_string(),
            run_id: run.to_string(),
            signature: self
                .node
                .identity
                .lock()
                .sign_connect(&challenge.nonce, node_id, run),
            version: VERSION.to_owned(),
        };
        session.say(Up::Hello(hello)).await?;
        let Down::Welcome(welcome) = hear(&mut down).await? else {
            return Err(Over::Protocol);
        };
        self.welcomed(&welcome).await;
        self.calls.clear();
        self.say_links(&session).await?;
        self.converse(&session, &mut down, &welcome).await
    }

    async fn welcomed(&self, welcome: &Welcome) {
        let origin = &self.server.origin;
        let ahead = welcome.now_unix_ms.saturating_sub(clock::unix_ms());
        tracing::info!(%origin, name = welcome.name, "connected");
        self.server.says_the_time(welcome.now_unix_ms);
        *self.server.standing.lock() = crate::node::ServerStanding {
            connected: true,
            trouble: None,
            clock_ahead_ms: ahead,
            supporter_url: welcome.supporter_url.clone(),
        };
        if welcome.measured_upload_bps > 0 {
            let upload = Bitrate::new(welcome.measured_upload_bps);
            self.node.measured(self.server.index, upload).await;
        }
        if welcome.stun.is_empty() {
            return;
        }
        match self.resolve(&welcome.stun).await {
            Ok(servers) => self.node.peer.stun(servers).await,
            Err(problem) => {
                tracing::warn!(stun = welcome.stun, problem, "outer address stays unknown")
            }
        }
    }

    async fn resolve(&self, address: &str) -> Result<Vec<std::net::SocketAddr>, String> {
        let (host, port) = address.rsplit_once(':').ok_or("no port in it")?;
        let port = port.parse().map_err(|_| "no port in it")?;
        let found = self.node.net.lookup(host).await?.into_iter();
        Ok(found
            .map(|ip| std::net::SocketAddr::new(ip, port))
            .collect())
    }

    /// After a break the coordinator may know of no link: they live on without it.
    async fn say_links(&mut self, session: &Session) -> Result<(), Over> {
        for link in self.node.peer.links().await {
            let Some((index, name)) = split(&link.link) else {
                continue;
            };
            if link.open && index == self.server.index {
                let address = link.address.map_or_else(String::new, |a| a.to_string());
                self.say_link(session, name, true, address).await?;
            }
        }
        Ok(())
    }

    async fn say_link(
        &self,
        session: &Session,
        link: bytes::Bytes,
        open: bool,
        peer_address: String,
    ) -> Result<(), Over> {
        let phase = if open {
            LinkPhase::Open
        } else {
            LinkPhase::Closed
        };
        let state = LinkState {
            link,
            phase: phase.into(),
            peer_address,
        };
        session.say(Up::LinkState(state)).await
    }

    async fn converse(
        &mut self,
        session: &Session,
        down: &mut Streaming<ConnectResponse>,
        welcome: &Welcome,
    ) -> Result<(), Over> {
        let mut heartbeat = interval(every(welcome.heartbeat_ms));
        let mut report = interval(every(welcome.report_ms));
        let mut changed = self.node.changed.subscribe();
        loop {
            tokio::select! {
                message = down.message() => match message?.and_then(|m| m.message) {
                    Some(message) => self.told(session, message).await?,
                    None => return Ok(()),
                },
                Some(change) = self.changes.recv() => {
                    self.say_link(session, change.link, change.open, change.address).await?;
                }
                _ = heartbeat.tick() => self.say_heartbeat(session).await?,
                result = changed.changed() => {
                    if result.is_err() {
                        return Ok(());
                    }
                    self.drop_unwanted().await;
                    self.say_heartbeat(session).await?;
                }
                _ = report.tick() => self.say_reports(session).await?,
            }
        }
    }

    async fn say_heartbeat(&self, session: &Session) -> Result<(), Over> {
        session.say(Up::Heartbeat(self.heartbeat().await)).await?;
        if self.node.standing() == crate::limits::Standing::Stopping {
            self.say_reports(session).await?;
        }
        Ok(())
    }

    async fn say_reports(&self, session: &Session) -> Result<(), Over> {
        self.server.close_report(&self.node.identity.lock());
        self.say_waiting(session).await
    }

    /// Says the reports that are due, as many as may be on their way.
    async fn say_waiting(&self, session: &Session) -> Result<(), Over> {
        loop {
            let now = std::time::Instant::now();
            let next = self.server.reporter.lock().next(session.connection, now);
            match next {
                Some(report) => session.say(Up::Report(report)).await?,
                None => return Ok(()),
            }
        }
    }
}

fn every(millis: u32) -> Duration {
    Duration::from_millis(u64::from(millis).clamp(*EVERY.start(), *EVERY.end()))
}

async fn hear(down: &mut Streaming<ConnectResponse>) -> Result<Down, Over> {
    let heard = timeout(ANSWER, down.message())
        .await
        .map_err(|_| Over::Silent)?;
    heard?.ok_or(Over::Closed)?.message.ok_or(Over::Protocol)
}
