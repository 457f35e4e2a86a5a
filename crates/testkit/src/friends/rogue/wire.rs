//! What a node says to a coordinator, said by hand: whoever holds a key can say anything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use proto::node::{
    Challenge, ConnectRequest, ConnectResponse, EnrolRequest, Hello, SignedReport, Welcome,
    connect_request::Message as Up, connect_response::Message as Down, node_client::NodeClient,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use types::{NodeId, RunId};

/// For an answer, on a loaded machine.
const ANSWER: Duration = Duration::from_secs(20);
/// Messages up that wait.
const WAITING: usize = 64;

/// A node's key.
#[derive(Debug, Clone)]
pub struct Key(SigningKey);

impl Key {
    /// A new one, that nobody knows.
    pub fn new() -> Self {
        Self(SigningKey::from_bytes(&rand::random()))
    }

    fn sign(&self, domain: &str, parts: &[&[u8]]) -> Bytes {
        let mut message = domain.as_bytes().to_vec();
        message.push(0);
        message.extend(parts.concat());
        Bytes::copy_from_slice(&self.0.sign(&message).to_bytes())
    }

    pub(super) fn report(&self, body: Vec<u8>) -> SignedReport {
        SignedReport {
            signature: self.sign("streamr/deliveries/1", &[&body]),
            body: body.into(),
        }
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

/// Where an invite leads to, and its secret.
pub(super) fn parts(link: &str) -> Result<(&str, &str)> {
    link.split_once("/join#")
        .context("an invite leads to /join#…")
}

pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as i64)
}

/// Connects to a coordinator; several nodes may share it.
pub async fn client(origin: &str) -> Result<NodeClient<Channel>, Status> {
    let endpoint = Channel::from_shared(origin.to_owned());
    let endpoint = endpoint.map_err(|error| Status::unavailable(error.to_string()))?;
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(NodeClient::new(channel))
}

/// Redeems an invite. The outer error: the link is none; the inner one: what the coordinator says.
pub async fn enrol(link: &str, key: &Key, name: &str) -> Result<Result<NodeId, Status>> {
    let (origin, _) = parts(link)?;
    enrol_on(client(origin).await?, link, key, name).await
}

/// The same over a connection that is there.
pub async fn enrol_on(
    mut connection: NodeClient<Channel>,
    link: &str,
    key: &Key,
    name: &str,
) -> Result<Result<NodeId, Status>> {
    let (_, invite) = parts(link)?;
    let request = EnrolRequest {
        invite: invite.to_owned(),
        public_key: Bytes::copy_from_slice(key.0.verifying_key().as_bytes()),
        name: name.to_owned(),
        version: "0.0.0-rogue".to_owned(),
        signature: key.sign("streamr/enrol/1", &[invite.as_bytes()]),
    };
    let answer = timeout(ANSWER, connection.enrol(request)).await?;
    Ok(match answer {
        Ok(answer) => Ok(answer.into_inner().node_id.parse()?),
        Err(status) => Err(status),
    })
}

/// A connection that was welcomed.
#[derive(Debug)]
pub struct Line {
    up: mpsc::Sender<ConnectRequest>,
    down: Streaming<ConnectResponse>,
    /// As it was welcomed.
    pub welcome: Welcome,
    /// What it said to be welcomed.
    pub hello: Hello,
}

async fn hear(down: &mut Streaming<ConnectResponse>) -> Result<Down, Status> {
    let heard = timeout(ANSWER, down.message()).await;
    let heard = heard.map_err(|_| Status::deadline_exceeded("nothing was said"))??;
    let closed = || Status::cancelled("the coordinator hung up");
    heard.and_then(|heard| heard.message).ok_or_else(closed)
}

impl Line {
    /// Says hello with the node's key; `origin` is where the invite led.
    pub async fn open(origin: &str, key: &Key, node: NodeId, run: RunId) -> Result<Self, Status> {
        Self::open_on(client(origin).await?, key, node, run).await
    }

    /// The same over a connection that is there.
    pub async fn open_on(
        connection: NodeClient<Channel>,
        key: &Key,
        node: NodeId,
        run: RunId,
    ) -> Result<Self, Status> {
        let hello = |challenge: &Challenge| {
            let named = [node.as_uuid(), run.as_uuid()];
            let signed: [&[u8]; 3] = [&challenge.nonce, named[0].as_bytes(), named[1].as_bytes()];
            Hello {
                node_id: node.to_string(),
                run_id: run.to_string(),
                signature: key.sign("streamr/connect/1", &signed),
                version: "0.0.0-rogue".to_owned(),
            }
        };
        Self::greet(connection, hello).await
    }

    /// Says what another connection was welcomed for.
    pub async fn replay(origin: &str, hello: Hello) -> Result<Self, Status> {
        Self::greet(client(origin).await?, |_| hello).await
    }

    async fn greet(
        mut connection: NodeClient<Channel>,
        hello: impl FnOnce(&Challenge) -> Hello,
    ) -> Result<Self, Status> {
        let (up, said) = mpsc::channel(WAITING);
        let connected = connection.connect(ReceiverStream::new(said)).await?;
        let mut down = connected.into_inner();
        let Down::Challenge(challenge) = hear(&mut down).await? else {
            return Err(Status::internal("no challenge came first"));
        };
        let hello = hello(&challenge);
        let said = ConnectRequest {
            message: Some(Up::Hello(hello.clone())),
        };
        let gone = |_| Status::cancelled("the coordinator hung up");
        up.send(said).await.map_err(gone)?;
        match hear(&mut down).await? {
            Down::Welcome(welcome) => Ok(Self {
                up,
                down,
                welcome,
                hello,
            }),
            other => Err(Status::internal(format!("no welcome but {other:?}"))),
        }
    }

    /// Says something.
    pub async fn say(&self, message: Up) -> Result<(), Status> {
        let request = ConnectRequest {
            message: Some(message),
        };
        let sent = self.up.send(request).await;
        sent.map_err(|_| Status::cancelled("the coordinator hung up"))
    }

    /// The next word; whoever is cut off learns why.
    pub async fn hear(&mut self) -> Result<Down, Status> {
        let heard = self.down.message().await?;
        let closed = || Status::cancelled("the coordinator hung up");
        heard.and_then(|heard| heard.message).ok_or_else(closed)
    }
}
