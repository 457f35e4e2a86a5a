//! Why doesn't it help? Looks at each thing that must work, names the cause and the remedy.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use p2p::stun::{self, Transaction};
use proto::node::{
    ConnectRequest, ConnectResponse, Hello, connect_request::Message as Up,
    connect_response::Message as Down,
};
use tokio::{
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use types::RunId;

use crate::{
    VERSION, clock,
    files::DataDir,
    identity::{Identity, Server},
    memory::Memory,
    net::{CONNECT_TIMEOUT, Net},
    settings::Settings,
};

/// Clocks further apart make reports and tokens look wrong.
const CLOCK: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(3);
/// Less than a viewer of most streams takes.
const LITTLE: u64 = 2_000_000;

/// How one thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) what: String,
    /// How it is.
    pub(crate) health: Health,
    /// What was seen; with what to do about it, unless it is good.
    pub(crate) said: String,
}

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// Works.
    Good,
    /// Works, not well.
    Fair,
    /// Doesn't work.
    Bad,
}

impl Finding {
    fn new(what: impl Into<String>, health: Health, said: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            health,
            said: said.into(),
        }
    }
}

/// Looks at everything. `running`: a node runs with this folder.
pub(crate) async fn examine(data: &DataDir, settings: &Settings, running: bool) -> Vec<Finding> {
    let mut findings = limits(data, settings);
    let identity = match Identity::load(data) {
        Ok(Some(identity)) if identity.servers.iter().any(|s| !s.streams.is_empty()) => identity,
        Ok(_) => {
            let said = "this node helps nobody yet: run `streamr-node join <link>` with the link your streamer sent you";
            findings.push(Finding::new("identity", Health::Bad, said));
            return findings;
        }
        Err(error) => {
            findings.push(Finding::new("identity", Health::Bad, error.to_string()));
            return findings;
        }
    };
    let net = match Net::new(settings.authority.as_deref()) {
        Ok(net) => net,
        Err(error) => {
            findings.push(Finding::new("certificates", Health::Bad, error.to_string()));
            return findings;
        }
    };
    for server in &identity.servers {
        findings.extend(coordinator(&net, &identity, server, running).await);
    }
    findings
}

fn limits(data: &DataDir, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let limits = &settings.limits;
    if let Some(rate) = limits.bitrate.filter(|rate| rate.get() < LITTLE) {
        let said = format!(
            "{:.1} Mbit/s is less than most viewers take: raise max_mbit, or nobody can be served",
            rate.get() as f64 / 1e6
        );
        findings.push(Finding::new("upload limit", Health::Fair, said));
    }
    if let Some(hours) = limits.hours
        && !hours.contain(clock::local().minute)
    {
        let said = format!("you help at {hours}, and now it is not; change hours to help now");
        findings.push(Finding::new("hours", Health::Fair, said));
    }
    let Ok(memory) = Memory::load(data) else {
        return findings;
    };
    if !memory.help {
        let said = "help is switched off on your page; switch it on there";
        findings.push(Finding::new("switch", Health::Fair, said));
    }
    if limits.month.is_some_and(|most| memory.month_bytes >= most) {
        let said = "this month's limit is used up; raise month_gb, or wait for the next month";
        findings.push(Finding::new("month", Health::Fair, said));
    }
    if findings.is_empty() {
        findings.push(Finding::new("limits", Health::Good, "leave room to help"));
    }
    findings
}

async fn coordinator(
    net: &Net,
    identity: &Identity,
    server: &Server,
    running: bool,
) -> Vec<Finding> {
    let origin = &server.origin;
    let (host, port) = (origin.host(), origin.port());
    let what = |thing: &str| format!("{origin}: {thing}");
    let addresses = match net.lookup(&host).await {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => {
            let said =
                format!("{host} has no address; ask your streamer whether the link is right");
            return vec![Finding::new(what("name"), Health::Bad, said)];
        }
        Err(problem) => {
            let said = format!("{problem}; check this machine's network and name servers");
            return vec![Finding::new(what("name"), Health::Bad, said)];
        }
    };
    let mut findings = vec![Finding::new(
        what("name"),
        Health::Good,
        format!("{host} is {}", join(&addresses)),
    )];
    if let Err(problem) = tcp(&addresses, port).await {
        let said = format!(
            "TCP port {port} can't be reached ({problem}); the server may be off, or a firewall blocks it"
        );
        findings.push(Finding::new(what("TCP"), Health::Bad, said));
        return findings;
    }
    let (mut more, stun) = match speak(net, identity, server).await {
        Ok(spoken) => spoken.findings(net, origin.as_str()).await,
        Err(Trouble::Status(status)) if status.code() == Code::AlreadyExists => {
            let finding = if running {
                Finding::new(
                    what("gRPC"),
                    Health::Good,
                    "the node that runs is connected",
                )
            } else {
                let said = "this identity is connected from elsewhere: a copy of identity.json is in use. \
                            Stop that streamr-node, or remove identity.json here and join again";
                Finding::new(what("gRPC"), Health::Bad, said)
            };
            (vec![finding], None)
        }
        Err(trouble) => (
            vec![Finding::new(what("gRPC"), Health::Bad, trouble.words())],
            None,
        ),
    };
    findings.append(&mut more);
    let stun = stun.unwrap_or_else(|| format!("{host}:3478"));
    findings.push(udp(net, &stun, what("UDP")).await);
    findings
}

fn join(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

async fn tcp(addresses: &[IpAddr], port: u16) -> Result<(), String> {
    let mut problem = "no address".to_owned();
    for ip in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect((*ip, port))).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => problem = error.to_string(),
            Err(_) => "no answer in time".clone_into(&mut problem),
        }
    }
    Err(problem)
}

/// Why a coordinator can't be spoken with.
enum Trouble {
    Error(crate::Error),
    Status(Status),
    Silent,
}

impl Trouble {
    fn words(&self) -> String {
        match self {
            Self::Error(error) => error.to_string(),
            Self::Status(status) => match status.code() {
                Code::Unauthenticated | Code::PermissionDenied => format!(
                    "the coordinator does not let this node in ({}); ask your streamer for a new link",
                    status.message()
                ),
                code => format!("the coordinator answers {code:?}: {}", status.message()),
            },
            Self::Silent => {
                "the coordinator takes the connection and says nothing; a proxy in between may \
                             not pass HTTP/2"
                    .to_owned()
            }
        }
    }
}

/// What a coordinator said.
struct Spoken {
    clock_ahead_ms: i64,
    stun: String,
    edges: Vec<String>,
}

/// Connects as the node does, for a moment.
async fn speak(net: &Net, identity: &Identity, server: &Server) -> Result<Spoken, Trouble> {
    let mut client = net.client(&server.origin).await.map_err(Trouble::Error)?;
    let (up, said) = mpsc::channel(4);
    let connecting = timeout(CONNECT_TIMEOUT, client.connect(ReceiverStream::new(said))).await;
    let mut down = connecting
        .map_err(|_| Trouble::Silent)?
        .map_err(Trouble::Status)?
        .into_inner();
    let Some(Down::Challenge(challenge)) = hear(&mut down).await? else {
        return Err(Trouble::Silent);
    };
    let run = RunId::new();
    let hello = Hello {
        node_id: server.node_id.to_string(),
        run_id: run.to_string(),
        signature: identity.sign_connect(&challenge.nonce, server.node_id, run),
        version: VERSION.to_owned(),
    };
    let message = Some(Up::Hello(hello));
    if up.send(ConnectRequest { message }).await.is_err() {
        return Err(Trouble::Silent);
    }
    let Some(Down::Welcome(welcome)) = hear(&mut down).await? else {
        return Err(Trouble::Silent);
    };
    let mut edges = Vec::new();
    // Nothing comes when nothing is on air.
    while let Ok(Some(message)) = hear(&mut down).await {
        if let Down::Work(work) = message {
            edges = work
                .streams
                .into_iter()
                .flat_map(|stream| stream.edges)
                .collect();
            break;
        }
    }
    Ok(Spoken {
        clock_ahead_ms: welcome.now_unix_ms.saturating_sub(clock::unix_ms()),
        stun: welcome.stun,
        edges,
    })
}

async fn hear(down: &mut Streaming<ConnectResponse>) -> Result<Option<Down>, Trouble> {
    let heard = timeout(ANSWER, down.message())
        .await
        .map_err(|_| Trouble::Silent)?;
    let message = heard.map_err(Trouble::Status)?;
    Ok(message.and_then(|message| message.message))
}

impl Spoken {
    async fn findings(self, net: &Net, origin: &str) -> (Vec<Finding>, Option<String>) {
        let what = |thing: &str| format!("{origin}: {thing}");
        let mut findings = vec![Finding::new(
            what("gRPC"),
            Health::Good,
            "lets this node in",
        )];
        let apart = Duration::from_millis(self.clock_ahead_ms.unsigned_abs());
        findings.push(if apart > CLOCK {
            let said = format!(
                "clocks are {} s apart; set this machine's clock, best by NTP",
                apart.as_secs()
            );
            Finding::new(what("clock"), Health::Bad, said)
        } else {
            Finding::new(what("clock"), Health::Good, "agrees with this machine's")
        });
        if self.edges.is_empty() {
            let said =
                "nothing is to be carried now: no stream of yours is on air, or help is not wanted";
            findings.push(Finding::new(what("edges"), Health::Fair, said));
        }
        for edge in self.edges {
            let asked = net.http().get(&edge).timeout(CONNECT_TIMEOUT).send().await;
            findings.push(match asked {
                Ok(_) => Finding::new(what("edge"), Health::Good, format!("{edge} answers")),
                Err(error) => {
                    let cause = crate::net::chain(&error.without_url());
                    let said =
                        format!("{edge} can't be reached ({cause}); a firewall may block it");
                    Finding::new(what("edge"), Health::Bad, said)
                }
            });
        }
        (findings, Some(self.stun).filter(|stun| !stun.is_empty()))
    }
}

/// Asks for the outer address, from a port of its own.
async fn udp(net: &Net, server: &str, what: String) -> Finding {
    let blocked = format!(
        "no answer from {server}: a firewall blocks UDP, or the server has no STUN responder. \
         Viewers outside your network may not reach this node; allow outgoing UDP"
    );
    let Some((host, port)) = server
        .rsplit_once(':')
        .and_then(|(h, p)| Some((h, p.parse().ok()?)))
    else {
        return Finding::new(what, Health::Fair, blocked);
    };
    let addresses = net.lookup(host).await.unwrap_or_default();
    let ipv4 = addresses.into_iter().find(IpAddr::is_ipv4);
    match ipv4 {
        Some(ip) => match ask_stun(SocketAddr::new(ip, port)).await {
            Some(outer) => Finding::new(
                what,
                Health::Good,
                format!("the world sees this machine as {outer}"),
            ),
            None => Finding::new(what, Health::Fair, blocked),
        },
        None => Finding::new(what, Health::Fair, blocked),
    }
}

async fn ask_stun(server: SocketAddr) -> Option<SocketAddr> {
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let socket = UdpSocket::bind(any).await.ok()?;
    let transaction = Transaction(rand::random());
    for _ in 0..3 {
        socket
            .send_to(&stun::request(transaction), server)
            .await
            .ok()?;
        let mut answer = [0; stun::MAX_DATAGRAM];
        let heard = timeout(Duration::from_millis(700), socket.recv_from(&mut answer)).await;
        let Ok(Ok((length, from))) = heard else {
            continue;
        };
        let parsed = stun::parse_response(answer.get(..length)?).ok();
        if let Some(parsed) = parsed.filter(|p| p.transaction == transaction && from == server) {
            return Some(parsed.address);
        }
    }
    None
}
