//! The WebTorrent tracker over WebSocket: pages announce themselves and are told of one another and of nodes.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{
        Path, State as Shared,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use p2p::tracker::{self, Announce, ClientMessage, Event, ServerMessage};
use runtime::{Shutdown, http::Peer};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use types::{SessionId, StreamId};

use super::{Swarm, seat::is_nodes, state::State, viewer::Page};

/// Seconds between a page's announces. Nodes call pages that need another sooner.
const INTERVAL: u32 = 60;
/// Messages that wait for a page.
const QUEUE: usize = 64;
/// Messages a page may send within [`WINDOW`]; ten answers to offers and an announce are usual.
const MAX_MESSAGES: u32 = 60;
const WINDOW: Duration = Duration::from_secs(10);
/// A page that says nothing for so long is gone: it announces every minute.
const SILENT: Duration = Duration::from_secs(180);
/// How long a message may take to be written.
const WRITE: Duration = Duration::from_secs(10);
/// What a connection reads and writes at once: an offer. The usual 128 KiB would be 13 GB for 100,000 pages.
const BUFFER: usize = 4 * 1024;
/// The longest token that is looked at.
const MAX_TOKEN: usize = 2048;

/// The route. Pages connect to `/t/<playback token>`.
pub(crate) fn route(swarm: Swarm, shutdown: Shutdown) -> Router {
    Router::new()
        .route("/t/{token}", get(connect))
        .with_state(Arc::new((swarm, shutdown)))
}

async fn connect(
    Shared(shared): Shared<Arc<(Swarm, Shutdown)>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    axum::Extension(Peer(peer)): axum::Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let (swarm, shutdown) = shared.as_ref().clone();
    let refuse = |status: StatusCode, text: &'static str| {
        metrics::counter!("streamr_tracker_refused_total").increment(1);
        (status, text).into_response()
    };
    let Ok(upgrade) = upgrade else {
        return refuse(
            StatusCode::UPGRADE_REQUIRED,
            "this is a WebTorrent tracker: connect by WebSocket\n",
        );
    };
    // What a browser sends along of its origin says nothing here: the token alone opens, and no cookie is read.
    let _ = headers;
    let claims = if token.len() > MAX_TOKEN {
        None
    } else {
        swarm.claims(&token)
    };
    let Some(claims) = claims else {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "the token is not accepted: open a session, and announce to the tracker it names\n",
        );
    };
    match swarm.learn(claims.stream).await {
        Ok(true) => {}
        Ok(false) => return refuse(StatusCode::NOT_FOUND, "no such stream\n"),
        Err(_) => return refuse(StatusCode::SERVICE_UNAVAILABLE, "try again\n"),
    }
    let address = Swarm::viewer_address(peer.ip());
    upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(tracker::MAX_MESSAGE)
        .max_frame_size(tracker::MAX_MESSAGE)
        .on_upgrade(async move |socket| {
            // Owned by the coordinator's tree, not by the upgrade.
            let served = shutdown.spawn(async move {
                let conversation = swarm.converse(socket, claims.session, claims.stream, address);
                conversation.await;
            });
            let _ = served.await;
        })
}

/// Why a conversation ends.
enum Over {
    /// The page is gone.
    Gone,
    /// It says what it may not.
    Rude(&'static str),
}

impl Swarm {
    async fn converse(
        &self,
        mut socket: WebSocket,
        session: SessionId,
        stream: StreamId,
        address: IpAddr,
    ) {
        let (to, mut told) = mpsc::channel(QUEUE);
        let Some(serial) = self.page_came(session, stream, address, to) else {
            let _ = timeout(
                WRITE,
                close(&mut socket, "too many sessions; edges serve you"),
            )
            .await;
            return;
        };
        let over = self.talk(&mut socket, session, &mut told).await;
        if let Over::Rude(reason) = over {
            metrics::counter!("streamr_tracker_rude_total", "reason" => reason).increment(1);
            tracing::debug!(reason, "a page was cut off from the tracker");
            let _ = timeout(WRITE, close(&mut socket, reason)).await;
        }
        self.page_left(session, serial);
    }

    async fn talk(
        &self,
        socket: &mut WebSocket,
        session: SessionId,
        told: &mut mpsc::Receiver<ServerMessage>,
    ) -> Over {
        let (mut window, mut count) = (Instant::now(), 0_u32);
        loop {
            let said = tokio::select! {
                message = told.recv() => {
                    let Some(message) = message else {
                        return Over::Gone;
                    };
                    let text = Message::Text(message.to_json().into());
                    match timeout(WRITE, socket.send(text)).await {
                        Ok(Ok(())) => continue,
                        _ => return Over::Gone,
                    }
                }
                said = timeout(SILENT, socket.recv()) => match said {
                    Ok(Some(Ok(said))) => said,
                    _ => return Over::Gone,
                },
            };
            if window.elapsed() > WINDOW {
                (window, count) = (Instant::now(), 0);
            }
            count += 1;
            if count > MAX_MESSAGES {
                return Over::Rude("flood");
            }
            match said {
                Message::Text(text) => match tracker::parse(&text) {
                    Ok(message) => {
                        if let Err(reason) = self.hear(session, message) {
                            return Over::Rude(reason);
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a page's message to the tracker can't be read");
                        return Over::Rude("malformed");
                    }
                },
                Message::Binary(_) => return Over::Rude("binary"),
                Message::Close(_) => return Over::Gone,
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    /// A page connects. One per session: a newer takes the older's place.
    fn page_came(
        &self,
        session: SessionId,
        stream: StreamId,
        address: IpAddr,
        to: mpsc::Sender<ServerMessage>,
    ) -> Option<u64> {
        let mut state = self.inner.state.lock();
        let serial = state.number();
        let viewer = state.viewer(session, stream, address)?;
        let swarm = viewer.page.take().and_then(|page| page.swarm);
        viewer.page = Some(Page { serial, to, swarm });
        viewer.address = address;
        viewer.note_presence();
        Some(serial)
    }

    fn page_left(&self, session: SessionId, serial: u64) {
        let mut state = self.inner.state.lock();
        let Some(viewer) = state.viewers.get_mut(&session) else {
            return;
        };
        if viewer
            .page
            .as_ref()
            .is_some_and(|page| page.serial == serial)
        {
            viewer.page = None;
            viewer.note_presence();
            state.unlist(session);
        }
    }

    fn hear(&self, session: SessionId, message: ClientMessage) -> Result<(), &'static str> {
        self.with(|state| hear(state, session, message))
    }
}

fn hear(state: &mut State, session: SessionId, message: ClientMessage) -> Result<(), &'static str> {
    match message {
        ClientMessage::Answer(answer) => state.answered(session, answer),
        ClientMessage::Announce(announce) => {
            if announce.event == Some(Event::Stopped) {
                state.forget_peer(session);
                if let Some(viewer) = state.viewers.get_mut(&session)
                    && let Some(page) = viewer.page.as_mut()
                {
                    page.swarm = None;
                }
                return Ok(());
            }
            announced(state, session, announce)?;
        }
    }
    Ok(())
}

/// A page says what it goes by. Under a node's name, or another page's, it would be blamed for what that one sends,
/// and that one for what it sends.
fn announced(
    state: &mut State,
    session: SessionId,
    announce: Announce,
) -> Result<(), &'static str> {
    let Some(viewer) = state.viewers.get(&session) else {
        return Ok(());
    };
    let stream = viewer.stream;
    let (info_hash, peer_id) = (announce.info_hash, announce.peer_id);
    let key = (stream, peer_id);
    if is_nodes(&peer_id) || state.pages.get(&key).is_some_and(|by| *by != session) {
        return Err("peer_id");
    }
    if viewer.known_as.is_some_and(|known| known != peer_id) {
        state.forget_peer(session);
    }
    let Some(viewer) = state.viewers.get_mut(&session) else {
        return Ok(());
    };
    let Some(page) = viewer.page.as_mut() else {
        return Ok(());
    };
    page.swarm = Some((info_hash, peer_id));
    page.tell(ServerMessage::Announced {
        info_hash,
        interval: INTERVAL,
        complete: 0,
        incomplete: 1,
    });
    viewer.known_as = Some(peer_id);
    state.pages.insert(key, session);
    state.take_offers(session, announce.offers);
    Ok(())
}

async fn close(socket: &mut WebSocket, reason: &'static str) -> Result<(), axum::Error> {
    let frame = CloseFrame {
        code: close_code::POLICY,
        reason: reason.into(),
    };
    socket.send(Message::Close(Some(frame))).await
}
