//! The gRPC face to nodes, on the public port: enrolling, the one long connection, measuring, leaving.

use std::{net::IpAddr, pin::Pin, time::Duration};

use ed25519_dalek::VerifyingKey;
use futures::{Stream, StreamExt, stream::FuturesOrdered};
use proto::node::{
    self as wire, Challenge, ConnectRequest, ConnectResponse, connect_request::Message as Up,
    connect_response::Message as Down, node_server::Node,
};
use runtime::{Shutdown, http::Peer};
use storage::{Enrolment, NewAudit, Refused};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use types::{NodeId, RunId, StreamId};

use super::{Swarm, measure::Meter};
use crate::{Error, accounts::sent_secret, keys::Purpose, rest::Links};

/// Messages that wait for a node.
const QUEUE: usize = 4096;
/// How long a node may take to say who it is.
const HELLO: Duration = Duration::from_secs(5);
/// How long it may take to say why a connection is over.
const ENDING: Duration = Duration::from_millis(500);
/// The longest message from a node: a report of some thousand deliveries.
pub(crate) const MAX_MESSAGE: usize = 512 * 1024;
/// Reports of a node that are being written; it is not listened to while there are more.
const MAX_KEEPING: usize = 8;
/// Messages a node may send a second, over ten seconds.
const MAX_PER_SECOND: u32 = 500;
/// The longest name, in characters.
const MAX_NAME: usize = 40;
/// Wrong invites from one address in ten minutes, and connections that fail.
const MAX_WRONG: u32 = 30;
const WRONG_WINDOW: Duration = Duration::from_secs(600);

/// The service.
#[derive(Clone)]
pub(crate) struct NodeService {
    pub(crate) swarm: Swarm,
    pub(crate) cache: cache::Cache,
    pub(crate) shutdown: Shutdown,
}

/// What a message of this domain is signed over: the domain, a zero byte, and the parts.
pub(super) fn signed(domain: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = domain.as_bytes().to_vec();
    message.push(0);
    for part in parts {
        message.extend_from_slice(part);
    }
    message
}

/// Whether the key signed the message.
pub(super) fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = <[u8; 32]>::try_from(key) else {
        return false;
    };
    let (Ok(key), Ok(signature)) = (
        VerifyingKey::from_bytes(&key),
        ed25519_dalek::Signature::from_slice(signature),
    ) else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}

fn address<T>(request: &Request<T>) -> IpAddr {
    let peer = request.extensions().get::<Peer>();
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| {
        peer.0.ip().to_canonical()
    })
}

fn unauthenticated(reason: &'static str) -> Status {
    metrics::counter!("streamr_node_refused_total", "reason" => "identity").increment(1);
    Status::unauthenticated(reason)
}

impl NodeService {
    /// Whoever guesses is slowed down.
    async fn guessed(&self, address: IpAddr) -> Result<(), Status> {
        let key = format!("rate/node/{}", crate::accounts::prefix(address));
        match self.cache.hit(&key, WRONG_WINDOW).await {
            Ok(hits) if hits > MAX_WRONG => Err(Status::resource_exhausted(
                "too many wrong attempts from this address; wait ten minutes",
            )),
            _ => Ok(()),
        }
    }
}

/// A friend's name: one line of some characters.
fn name(text: &str) -> Result<String, Status> {
    let text = text.trim();
    let length = text.chars().count();
    if (1..=MAX_NAME).contains(&length) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(Status::invalid_argument(
            "name: write 1 to 40 characters of one line",
        ))
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    async fn enrol(
        &self,
        request: Request<wire::EnrolRequest>,
    ) -> Result<Response<wire::EnrolResponse>, Status> {
        let from = address(&request);
        let request = request.into_inner();
        let public_key = <[u8; 32]>::try_from(request.public_key.as_ref())
            .map_err(|_| Status::invalid_argument("public_key: send 32 bytes of Ed25519"))?;
        let message = signed("streamr/enrol/1", &[request.invite.as_bytes()]);
        if !verifies(&public_key, &message, &request.signature) {
            self.guessed(from).await?;
            return Err(unauthenticated(
                "signature: the key did not sign this invite",
            ));
        }
        let called = name(&request.name)?;
        let gone = "this invite is not good: it was used, revoked, or ran out; ask for a new one";
        let Some(secret) = sent_secret(&request.invite) else {
            self.guessed(from).await?;
            return Err(Status::not_found(gone));
        };
        let hash = self
            .swarm
            .inner
            .keys
            .hash_secret(Purpose::Invite, secret.expose().as_bytes());
        let enrolment = Enrolment {
            invite: hash,
            public_key,
            name: called,
            version: request.version.chars().take(32).collect(),
        };
        let friends = self.swarm.inner.database.friends();
        let mut entry = NewAudit::new("node.enrolled");
        entry.network = Some(crate::accounts::network(from));
        let enrolled = friends.enrol(enrolment, entry).await.map_err(Error::from)?;
        match enrolled {
            Ok((node, stream)) => {
                tracing::info!(node_id = %node.id, stream_id = %stream, "a friend's node enrolled");
                let stream = self.swarm.helped(stream).await?;
                self.swarm.friends_changed(node.id).await?;
                Ok(Response::new(wire::EnrolResponse {
                    node_id: node.id.to_string(),
                    stream: Some(stream),
                }))
            }
            Err(Refused::Invite) => {
                self.guessed(from).await?;
                Err(Status::not_found(gone))
            }
            Err(Refused::Banned) => Err(Status::permission_denied(
                "this node is quarantined; who runs the server can tell why",
            )),
            Err(Refused::Full) => Err(Status::failed_precondition(
                "the stream has as many friends as it may have",
            )),
        }
    }

    type ConnectStream = Pin<Box<dyn Stream<Item = Result<ConnectResponse, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let from = address(&request);
        let headers = request.metadata().clone().into_headers();
        let links = Links::of(&headers, &self.swarm.inner.settings);
        let up = request.into_inner();
        let (to, down) = mpsc::channel(QUEUE);
        let nonce: [u8; 32] = rand::random();
        let challenge = ConnectResponse {
            message: Some(Down::Challenge(Challenge {
                nonce: nonce.to_vec().into(),
            })),
        };
        to.try_send(challenge)
            .map_err(|_| Status::unavailable("try again"))?;
        let (failed, failure) = tokio::sync::oneshot::channel();
        let service = self.clone();
        self.shutdown.spawn_until_cancelled(async move {
            let newcomer = Newcomer {
                from,
                links,
                nonce,
                to,
            };
            if let Err(status) = service.attend(up, newcomer).await {
                // Who has gone does not hear it.
                let _ = failed.send(status);
            }
        });
        let messages = ReceiverStream::new(down).map(Ok);
        // The seat may be lost while the node goes on: silent for too long, or kept by another coordinator now.
        let end = futures::stream::once(timeout(ENDING, failure));
        let end = end.filter_map(async |end| match end {
            Ok(end) => end.ok().map(Err),
            Err(_) => Some(Err(Status::unavailable(
                "this connection is over; connect again",
            ))),
        });
        Ok(Response::new(Box::pin(messages.chain(end))))
    }

    async fn measure_upload(
        &self,
        request: Request<Streaming<wire::MeasureUploadRequest>>,
    ) -> Result<Response<wire::MeasureUploadResponse>, Status> {
        let mut padding = request.into_inner();
        let slow = || Status::deadline_exceeded("send at once what is to be measured");
        let first = timeout(HELLO, padding.message())
            .await
            .map_err(|_| slow())??;
        let ticket = first.map(|first| first.ticket).unwrap_or_default();
        let Some(node) = self.swarm.inner.tickets.take(&ticket) else {
            return Err(Status::permission_denied(
                "ticket: measure when you are asked to, with the ticket you are given",
            ));
        };
        let (began, mut meter) = (Instant::now(), Meter::default());
        while !meter.is_done() {
            match timeout(HELLO, padding.message())
                .await
                .map_err(|_| slow())??
            {
                Some(part) => meter.add(part.padding.len(), began.elapsed()),
                None => break,
            }
        }
        let bitrate = meter.bitrate();
        self.swarm.measured(node, bitrate).await;
        Ok(Response::new(wire::MeasureUploadResponse {
            bitrate_bps: bitrate.get(),
        }))
    }

    async fn leave(
        &self,
        request: Request<wire::LeaveRequest>,
    ) -> Result<Response<wire::LeaveResponse>, Status> {
        let from = address(&request);
        let request = request.into_inner();
        let node: NodeId = proto::convert::field(&request.node_id, "node_id")?;
        let stream: Option<StreamId> = match request.stream_id.as_str() {
            "" => None,
            id => Some(proto::convert::field(id, "stream_id")?),
        };
        let age = super::state::now_ms().abs_diff(request.at_unix_ms);
        if age > 300_000 {
            return Err(unauthenticated(
                "at_unix_ms: set the clock; it is minutes off",
            ));
        }
        let friends = self.swarm.inner.database.friends();
        let known = friends.node(node).await.map_err(Error::from)?;
        let message = signed(
            "streamr/leave/1",
            &[
                node.as_uuid().as_bytes(),
                request.stream_id.as_bytes(),
                &request.at_unix_ms.to_be_bytes(),
            ],
        );
        let known = known.filter(|known| verifies(&known.public_key, &message, &request.signature));
        if known.is_none() {
            self.guessed(from).await?;
            return Err(unauthenticated("unknown node, or a wrong signature"));
        }
        for friend in friends.of_node(node).await.map_err(Error::from)? {
            if stream.is_none_or(|stream| stream == friend.stream) {
                let entry = NewAudit::new("node.left");
                self.swarm.remove(friend.stream, node, entry).await?;
            }
        }
        Ok(Response::new(wire::LeaveResponse {}))
    }
}

/// Who connects and has not said who it is.
struct Newcomer {
    from: IpAddr,
    links: Links,
    nonce: [u8; 32],
    to: mpsc::Sender<ConnectResponse>,
}

impl NodeService {
    async fn attend(
        &self,
        mut up: Streaming<ConnectRequest>,
        newcomer: Newcomer,
    ) -> Result<(), Status> {
        let first = timeout(HELLO, up.message())
            .await
            .map_err(|_| Status::deadline_exceeded("say hello first"))??;
        let Some(Up::Hello(hello)) = first.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("say hello first"));
        };
        let node: NodeId = proto::convert::field(&hello.node_id, "node_id")?;
        let run: RunId = proto::convert::field(&hello.run_id, "run_id")?;
        let friends = self.swarm.inner.database.friends();
        let known = friends.node(node).await.map_err(Error::from)?;
        let message = signed(
            "streamr/connect/1",
            &[
                &newcomer.nonce,
                node.as_uuid().as_bytes(),
                run.as_uuid().as_bytes(),
            ],
        );
        let known = known.filter(|known| verifies(&known.public_key, &message, &hello.signature));
        let Some(known) = known else {
            self.guessed(newcomer.from).await?;
            return Err(unauthenticated("unknown node, or a wrong signature"));
        };
        let arrival = super::nodes::Arrival {
            known,
            run,
            version: hello.version.chars().take(32).collect(),
            from: newcomer.from,
            links: newcomer.links,
            to: newcomer.to,
        };
        let public_key = arrival.known.public_key;
        let serial = self.swarm.seat(arrival).await?;
        let end = self.listen(&mut up, node, run, public_key).await;
        self.swarm.broke(node, serial);
        end
    }

    async fn listen(
        &self,
        up: &mut Streaming<ConnectRequest>,
        node: NodeId,
        run: RunId,
        public_key: [u8; 32],
    ) -> Result<(), Status> {
        let (mut window, mut count) = (Instant::now(), 0);
        // Writing what is reported takes its time; whoever reports is heard meanwhile.
        let mut keeping = FuturesOrdered::new();
        loop {
            let request = tokio::select! {
                request = up.message(), if keeping.len() < MAX_KEEPING => request?,
                Some(kept) = keeping.next() => {
                    kept?;
                    continue;
                }
            };
            let Some(request) = request else {
                break;
            };
            if window.elapsed() > Duration::from_secs(10) {
                (window, count) = (Instant::now(), 0);
            }
            count += 1;
            if count > MAX_PER_SECOND * 10 {
                metrics::counter!("streamr_node_refused_total", "reason" => "flood").increment(1);
                return Err(Status::resource_exhausted("too many messages"));
            }
            match request.message {
                Some(Up::Report(report)) => {
                    let (swarm, key) = (&self.swarm, &public_key);
                    keeping.push_back(async move { swarm.report(node, run, key, &report).await });
                }
                Some(message) => self.swarm.hear_node(node, message),
                None => {}
            }
        }
        while let Some(kept) = keeping.next().await {
            kept?;
        }
        Ok(())
    }
}
