//! What a node lives with: a coordinator that says what the test wants, an edge, and viewers.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use delivery::DigestKey;
use ed25519_dalek::{Signature, VerifyingKey};
use parking_lot::Mutex;
use peer::{Event, LinkId, Peer};
use proto::node::{
    self as wire,
    connect_request::Message as Up,
    connect_response::Message as Down,
    node_server::{Node as Service, NodeServer},
};
use runtime::Shutdown;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Status, Streaming};
use types::{Epoch, Msn, NodeId, StreamId};

use crate::{
    app::App, enrol::enrol, files::DataDir, identity::Identity, net::Net, settings::Given,
};

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A coordinator, an edge and a folder.
pub(crate) struct Bed {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) coordinator: Arc<Coordinator>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) stream: StreamId,
    origin: SocketAddr,
    edges: Vec<String>,
    shutdown: Shutdown,
}

/// What the coordinator does, and what it heard.
pub(crate) struct Coordinator {
    node: NodeId,
    stream: StreamId,
    key: Mutex<Option<VerifyingKey>>,
    pub(crate) heard: Mutex<Vec<Up>>,
    down: Mutex<Option<mpsc::Sender<Result<wire::ConnectResponse, Status>>>>,
    /// Answers Connect with this.
    pub(crate) refuses: Mutex<Option<Code>>,
    /// Keeps reports.
    pub(crate) keeps: AtomicBool,
    pub(crate) connections: Mutex<u32>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<wire::ConnectResponse, Status>> + Send>>;

struct Served(Arc<Coordinator>);

#[tonic::async_trait]
impl Service for Served {
    async fn enrol(
        &self,
        request: Request<wire::EnrolRequest>,
    ) -> Result<tonic::Response<wire::EnrolResponse>, Status> {
        let request = request.into_inner();
        let key =
            VerifyingKey::from_bytes(request.public_key.as_ref().try_into().unwrap()).unwrap();
        let message = [b"streamr/enrol/1\0", request.invite.as_bytes()].concat();
        verify(&key, &message, &request.signature);
        if request.invite != "good" {
            return Err(Status::not_found("no such invite"));
        }
        *self.0.key.lock() = Some(key);
        Ok(tonic::Response::new(wire::EnrolResponse {
            node_id: self.0.node.to_string(),
            stream: Some(helped(self.0.stream)),
        }))
    }

    type ConnectStream = Answers;

    async fn connect(
        &self,
        request: Request<Streaming<wire::ConnectRequest>>,
    ) -> Result<tonic::Response<Answers>, Status> {
        *self.0.connections.lock() += 1;
        if let Some(code) = *self.0.refuses.lock() {
            return Err(Status::new(code, "as the test wants"));
        }
        let mut up = request.into_inner();
        let (down, answers) = mpsc::channel(256);
        let coordinator = Arc::clone(&self.0);
        tokio::spawn(async move {
            let nonce = Bytes::from_static(&[7; 32]);
            say(
                &down,
                Down::Challenge(wire::Challenge {
                    nonce: nonce.clone(),
                }),
            )
            .await;
            let Some(Up::Hello(hello)) = up.message().await.unwrap().unwrap().message else {
                panic!("hello comes first");
            };
            let run: types::RunId = hello.run_id.parse().unwrap();
            let node = coordinator.node.as_uuid();
            let run_id = run.as_uuid();
            let parts: [&[u8]; 4] = [
                b"streamr/connect/1\0",
                &nonce,
                node.as_bytes(),
                run_id.as_bytes(),
            ];
            let key = coordinator.key.lock().unwrap();
            verify(&key, &parts.concat(), &hello.signature);
            let welcome = wire::Welcome {
                now_unix_ms: crate::clock::unix_ms(),
                heartbeat_ms: 500,
                report_ms: 500,
                stun: String::new(),
                name: "Ben".to_owned(),
                supporter_url: "https://live.example/supporter/1#key".to_owned(),
                measured_upload_bps: 0,
            };
            say(&down, Down::Welcome(welcome)).await;
            *coordinator.down.lock() = Some(down.clone());
            while let Ok(Some(message)) = up.message().await {
                let message = message.message.unwrap();
                if let Up::Report(report) = &message {
                    let parts: [&[u8]; 2] = [b"streamr/deliveries/1\0", &report.body];
                    verify(&key, &parts.concat(), &report.signature);
                    let report = decode(report);
                    if coordinator.keeps.load(Ordering::Relaxed) {
                        let kept = wire::ReportsKept {
                            run_id: report.run_id,
                            sequence: report.sequence,
                        };
                        say(&down, Down::ReportsKept(kept)).await;
                    }
                }
                coordinator.heard.lock().push(message);
            }
        });
        Ok(tonic::Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn measure_upload(
        &self,
        request: Request<Streaming<wire::MeasureUploadRequest>>,
    ) -> Result<tonic::Response<wire::MeasureUploadResponse>, Status> {
        let mut request = request.into_inner();
        let mut bytes = 0;
        while let Some(piece) = request.message().await? {
            assert_eq!(piece.ticket, "ticket");
            bytes += piece.padding.len() as u64;
        }
        Ok(tonic::Response::new(wire::MeasureUploadResponse {
            bitrate_bps: bytes,
        }))
    }

    async fn leave(
        &self,
        _: Request<wire::LeaveRequest>,
    ) -> Result<tonic::Response<wire::LeaveResponse>, Status> {
        Ok(tonic::Response::new(wire::LeaveResponse {}))
    }
}

fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) {
    let signature = Signature::from_slice(signature).unwrap();
    key.verify_strict(message, &signature).unwrap();
}

async fn say(down: &mpsc::Sender<Result<wire::ConnectResponse, Status>>, message: Down) {
    let message = Some(message);
    let _ = down.send(Ok(wire::ConnectResponse { message })).await;
}

pub(crate) fn decode(report: &wire::SignedReport) -> wire::DeliveryReport {
    prost::Message::decode(report.body.clone()).unwrap()
}

pub(crate) fn helped(stream: StreamId) -> wire::HelpedStream {
    wire::HelpedStream {
        stream_id: stream.to_string(),
        slug: "concert".to_owned(),
        title: "Concert".to_owned(),
        streamer: "Ana".to_owned(),
    }
}

impl Coordinator {
    /// Tells the node, once it is connected.
    pub(crate) async fn tell(&self, message: Down) {
        let down = until(|| self.down.lock().clone()).await;
        say(&down, message).await;
    }

    /// Ends the connection.
    pub(crate) fn hang_up(&self) {
        let down = self.down.lock().take();
        if let Some(down) = down {
            let _ = down.try_send(Err(Status::unavailable("restarting")));
        }
    }

    /// Waits for something that the node says.
    pub(crate) async fn hears<T>(&self, wanted: impl FnMut(&Up) -> Option<T>) -> T {
        let mut wanted = wanted;
        until(|| self.heard.lock().iter().find_map(&mut wanted)).await
    }

    /// The newest heartbeat.
    pub(crate) fn heartbeat(&self) -> Option<wire::Heartbeat> {
        let heard = self.heard.lock();
        heard.iter().rev().find_map(|message| match message {
            Up::Heartbeat(heartbeat) => Some(heartbeat.clone()),
            _ => None,
        })
    }

    /// All reports so far, each once.
    pub(crate) fn reports(&self) -> Vec<wire::DeliveryReport> {
        let heard = self.heard.lock();
        let reports = heard.iter().filter_map(|message| match message {
            Up::Report(report) => Some(decode(report)),
            _ => None,
        });
        let once: HashMap<_, _> = reports
            .map(|r| ((r.run_id.clone(), r.sequence), r))
            .collect();
        once.into_values().collect()
    }
}

/// Waits until there is something.
pub(crate) async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, found).await.unwrap()
}

/// An edge, and what is wrong with it.
pub(crate) struct Edge {
    pub(crate) key: DigestKey,
    stream: StreamId,
    segments: Mutex<BTreeMap<u64, (serde_json::Value, Bytes)>>,
    pub(crate) refuses: AtomicBool,
    /// How often each object was asked for.
    pub(crate) asked: Mutex<HashMap<String, u32>>,
}

impl Edge {
    fn new(stream: StreamId) -> Arc<Self> {
        Arc::new(Self {
            key: DigestKey::generate(),
            stream,
            segments: Mutex::default(),
            refuses: AtomicBool::new(false),
            asked: Mutex::default(),
        })
    }

    /// Lists a segment that the origin signed.
    pub(crate) fn publish(&self, msn: u64, length: usize) -> Bytes {
        let bytes = Bytes::from(vec![msn as u8; length]);
        self.list(&self.key, 1, msn, &bytes, bytes.clone());
        bytes
    }

    /// Lists `signed`, and serves `served`.
    pub(crate) fn list(&self, key: &DigestKey, epoch: u64, msn: u64, signed: &[u8], served: Bytes) {
        let digest = key.digest(self.stream, Epoch::new(epoch), Msn::new(msn), &[signed]);
        let listed = serde_json::json!({
            "stream": digest.stream, "rendition": digest.rendition, "epoch": epoch, "msn": msn,
            "length": digest.length, "sha256": hex::encode(digest.sha256), "key_id": digest.key_id,
            "signature": STANDARD.encode(digest.signature),
        });
        self.segments.lock().insert(msn, (listed, served));
    }

    async fn serve(self: Arc<Self>, shutdown: Shutdown) -> String {
        let routes = Router::new()
            .route(
                "/live/concert/friends.m3u8",
                get(|edge: State<Arc<Self>>| async move { edge.open() }),
            )
            .route("/live/concert/s/session/digests", get(digests))
            .route("/live/concert/s/session/{epoch}/{object}", get(object))
            .with_state(self);
        serve(routes, shutdown).await.to_string()
    }

    fn open(&self) -> Response {
        *self.asked.lock().entry("open".to_owned()).or_default() += 1;
        if self.refuses.load(Ordering::Relaxed) {
            return StatusCode::FORBIDDEN.into_response();
        }
        "#EXTM3U\n".into_response()
    }
}

async fn digests(
    State(edge): State<Arc<Edge>>,
    axum::extract::Query(query): axum::extract::Query<HashMap<String, String>>,
) -> Response {
    if edge.refuses.load(Ordering::Relaxed) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let after: Option<u64> = query.get("after").map(|after| after.parse().unwrap());
    let segments = edge.segments.lock();
    let newer = segments
        .iter()
        .filter(|(msn, _)| after.is_none_or(|after| **msn > after));
    let listed: Vec<_> = newer.map(|(_, (digest, _))| digest.clone()).collect();
    axum::Json(serde_json::json!({"digests": listed})).into_response()
}

async fn object(State(edge): State<Arc<Edge>>, Path((_, object)): Path<(u64, String)>) -> Response {
    *edge.asked.lock().entry(object.clone()).or_default() += 1;
    let msn: u64 = object.strip_suffix(".m4s").unwrap().parse().unwrap();
    match edge.segments.lock().get(&msn) {
        Some((_, bytes)) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn serve(routes: Router, shutdown: Shutdown) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let until = async move { shutdown.cancelled().await };
        axum::serve(listener, routes)
            .with_graceful_shutdown(until)
            .await
            .unwrap();
    });
    address
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let (stream, shutdown) = (StreamId::new(), Shutdown::new());
        let coordinator = Arc::new(Coordinator {
            node: NodeId::new(),
            stream,
            key: Mutex::default(),
            heard: Mutex::default(),
            down: Mutex::default(),
            refuses: Mutex::default(),
            keeps: AtomicBool::new(true),
            connections: Mutex::default(),
        });
        let service = NodeServer::new(Served(Arc::clone(&coordinator)));
        let routes = tonic::service::Routes::new(service)
            .prepare()
            .into_axum_router();
        let edge = Edge::new(stream);
        let bed = Self {
            folder: tempfile::tempdir().unwrap(),
            origin: serve(routes, shutdown.clone()).await,
            edges: vec![format!(
                "http://{}",
                Arc::clone(&edge).serve(shutdown.clone()).await
            )],
            coordinator,
            edge,
            stream,
            shutdown,
        };
        bed.enrol().await;
        bed
    }

    /// An edge that the coordinator names before the good one.
    pub(crate) async fn add_edge(&mut self) -> Arc<Edge> {
        let edge = Edge::new(self.stream);
        let address = Arc::clone(&edge).serve(self.shutdown.clone()).await;
        self.edges.insert(0, format!("http://{address}"));
        edge
    }

    pub(crate) fn data(&self) -> DataDir {
        DataDir::open(self.folder.path()).unwrap()
    }

    pub(crate) fn link(&self, secret: &str) -> crate::invite::InviteLink {
        format!("http://{}/join#{secret}", self.origin)
            .parse()
            .unwrap()
    }

    async fn enrol(&self) {
        let net = Net::new(None).unwrap();
        let mut identity = Identity::generate();
        enrol(&net, &mut identity, &self.link("good"), "Ben")
            .await
            .unwrap();
        identity.save(&self.data()).unwrap();
    }

    pub(crate) async fn start(&self) -> App {
        self.start_with(Given::default()).await
    }

    pub(crate) async fn start_with(&self, given: Given) -> App {
        let flags = Given {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            page: Some(0),
            ..given
        };
        App::start(self.data(), flags).await.unwrap()
    }

    /// Has the stream carried.
    pub(crate) async fn give_work(&self) {
        self.coordinator
            .tell(Down::OriginKeys(wire::OriginKeys {
                keys: vec![wire::OriginKey {
                    stream_id: self.stream.to_string(),
                    key_id: self.edge.key.id().to_owned(),
                    public_key: self.edge.key.public().to_bytes().to_vec().into(),
                }],
            }))
            .await;
        self.coordinator
            .tell(Down::Work(wire::Work {
                streams: vec![self.work()],
            }))
            .await;
    }

    pub(crate) fn work(&self) -> wire::StreamWork {
        wire::StreamWork {
            stream: Some(helped(self.stream)),
            edges: self.edges.clone(),
            token: "token".to_owned(),
            session_id: "session".to_owned(),
        }
    }

    /// A viewer's offer as the coordinator passes it on; the node's answer.
    pub(crate) async fn offer(&self, name: &str, reference: u64, sdp: String) -> String {
        self.coordinator
            .tell(Down::Offer(wire::Offer {
                r#ref: reference,
                link: Bytes::copy_from_slice(name.as_bytes()),
                stream_id: self.stream.to_string(),
                sdp,
            }))
            .await;
        self.described(reference).await
    }

    pub(crate) async fn described(&self, reference: u64) -> String {
        self.coordinator
            .hears(|up| match up {
                Up::Description(description) if description.r#ref == reference => {
                    Some(description.sdp.clone())
                }
                _ => None,
            })
            .await
    }
}

/// A page, as far as a node can tell.
pub(crate) struct Viewer {
    pub(crate) peer: Peer,
    pub(crate) link: LinkId,
    events: peer::Events,
    shutdown: Shutdown,
}

impl Viewer {
    pub(crate) fn new(name: &str) -> Self {
        let shutdown = Shutdown::new();
        let options = peer::Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..peer::Options::default()
        };
        let (peer, events) = Peer::bind(options, Arc::new(()), &shutdown).unwrap();
        let link = LinkId::new(Bytes::copy_from_slice(name.as_bytes())).unwrap();
        Self {
            peer,
            link,
            events,
            shutdown,
        }
    }

    /// Connected by its own offer.
    pub(crate) async fn join(bed: &Bed, name: &str, reference: u64) -> Self {
        let viewer = Self::new(name);
        let offer = viewer
            .peer
            .offer(viewer.link.clone(), bed.stream)
            .await
            .unwrap();
        let answer = bed.offer(name, reference, offer).await;
        assert!(!answer.is_empty(), "the node serves");
        viewer
            .peer
            .accept(viewer.link.clone(), answer)
            .await
            .unwrap();
        viewer
    }

    /// Waits until the node says that it has exactly these.
    pub(crate) async fn sees(&mut self, msns: &[u64]) {
        let expected: Vec<Msn> = msns.iter().copied().map(Msn::new).collect();
        let seen = async {
            loop {
                if let Event::Announced { loaded, .. } = self.events.recv().await.unwrap()
                    && loaded == expected
                {
                    return;
                }
            }
        };
        timeout(SOON, seen).await.unwrap();
    }

    pub(crate) async fn fetch(&self, msn: u64) -> Result<Bytes, peer::FetchError> {
        self.peer
            .fetch(self.link.clone(), Msn::new(msn), SOON)
            .await
    }

    /// Waits until its link is gone.
    pub(crate) async fn is_let_go(&mut self) {
        let gone = async {
            loop {
                if let Event::Closed { .. } = self.events.recv().await.unwrap() {
                    return;
                }
            }
        };
        timeout(SOON, gone).await.unwrap();
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
