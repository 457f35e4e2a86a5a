//! A light viewer's links: announced at the tracker, made by the `peer` engine.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use p2p::tracker::{
    self, Announce, Answer, ClientMessage, InfoHash, Offer, OfferId, PeerId, ServerMessage,
};
use parking_lot::Mutex;
use peer::{Event, LinkId, Peer};
use sha2::{Digest, Sha256};
use tokio::{
    net::TcpStream,
    time::{Instant, interval, sleep_until, timeout},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};
use types::{Msn, StreamId};

/// Between two attempts to reach a tracker.
const RETRIED: Duration = Duration::from_secs(1);

/// Who is gone.
enum Over {
    Viewer,
    Tracker,
}

/// A page's connection to the tracker.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Offers in one announce.
const OFFERS: usize = 3;
/// Between two announces: before offers that nobody took are given up, which is what pages do too.
const AGAIN: Duration = Duration::from_secs(12);

/// Connects to a tracker, as pages do.
pub async fn connect(url: &str) -> Result<Socket> {
    let (socket, _) = tokio_tungstenite::connect_async(url).await?;
    Ok(socket)
}

/// What announces a page that is not there: for whoever says too much.
pub fn announce(stream: StreamId) -> String {
    said(stream, new_peer_id(), Vec::new())
}

/// The same under a name of choice, of twenty letters.
pub fn announce_as(stream: StreamId, name: [u8; 20]) -> String {
    said(stream, PeerId::new(name), Vec::new())
}

fn said(stream: StreamId, peer_id: PeerId, offers: Vec<Offer>) -> String {
    ClientMessage::Announce(Announce {
        info_hash: info_hash(stream),
        peer_id,
        event: None,
        numwant: OFFERS as u32,
        offers,
    })
    .to_json()
}

fn letters<const N: usize>() -> [u8; N] {
    std::array::from_fn(|_| b'a' + rand::random::<u8>() % 26)
}

pub(super) fn new_peer_id() -> PeerId {
    let mut id = *b"-PM0203-000000000000";
    id[8..].copy_from_slice(&letters::<12>());
    PeerId::new(id)
}

/// The swarm of light viewers: they meet one another there, and no page.
fn info_hash(stream: StreamId) -> InfoHash {
    let hash = Sha256::digest(stream.as_uuid().as_bytes());
    let mut id = [0; 20];
    for (place, byte) in id.iter_mut().zip(hash) {
        *place = b'a' + byte % 26;
    }
    InfoHash::new(id)
}

/// A data channel of a viewer.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) peer: PeerId,
    pub(super) open: bool,
    pub(super) has: HashSet<Msn>,
}

pub(super) type Links = Arc<Mutex<HashMap<LinkId, Link>>>;

/// The conversation with the tracker, and what comes of it.
pub(super) struct Talk {
    pub(super) socket: Socket,
    /// Where trackers are: the next is tried when one hangs up, as pages do.
    pub(super) trackers: Vec<String>,
    pub(super) stream: StreamId,
    pub(super) me: PeerId,
    pub(super) peer: Peer,
    pub(super) events: peer::Events,
    pub(super) links: Links,
}

impl Talk {
    /// For as long as the viewer is there.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut tried = 0;
        loop {
            // What went wrong with this tracker is nothing to the next.
            if matches!(self.converse().await, Ok(Over::Viewer)) {
                return Ok(());
            }
            loop {
                tried += 1;
                let at = tried % self.trackers.len().max(1);
                let url = self.trackers.get(at).context("a tracker")?.clone();
                let began = Instant::now();
                let attempt = async {
                    let Ok(Ok(socket)) = timeout(AGAIN, connect(&url)).await else {
                        sleep_until(began + RETRIED).await;
                        return None;
                    };
                    Some(socket)
                };
                if let Some(socket) = self.meanwhile(attempt).await {
                    self.socket = socket;
                    break;
                }
            }
        }
    }

    /// Waits for something while links go on.
    async fn meanwhile<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        loop {
            tokio::select! {
                done = &mut awaited => return done,
                Some(event) = self.events.recv() => self.happened(event),
            }
        }
    }

    /// Until either side is gone.
    async fn converse(&mut self) -> Result<Over> {
        let mut again = interval(AGAIN);
        loop {
            tokio::select! {
                said = self.socket.next() => match said.context("the tracker hung up")?? {
                    Message::Text(text) => self.told(&text).await?,
                    Message::Close(_) => return Ok(Over::Tracker),
                    _ => {}
                },
                event = self.events.recv() => match event {
                    Some(event) => self.happened(event),
                    None => return Ok(Over::Viewer),
                },
                _ = again.tick() => self.announce().await?,
            }
        }
    }

    async fn announce(&mut self) -> Result<()> {
        let mut offers = Vec::with_capacity(OFFERS);
        for _ in 0..OFFERS {
            let id = OfferId::new(&letters::<20>()).context("an offer's id")?;
            let sdp = self.peer.offer(link(&id)?, self.stream).await?;
            offers.push(Offer { offer_id: id, sdp });
        }
        let said = said(self.stream, self.me, offers);
        Ok(self.socket.send(Message::text(said)).await?)
    }

    fn note(&self, link: LinkId, peer: PeerId) {
        let new = Link {
            peer,
            open: false,
            has: HashSet::new(),
        };
        self.links.lock().insert(link, new);
    }

    async fn told(&mut self, text: &str) -> Result<()> {
        match ServerMessage::parse(text)? {
            ServerMessage::Offer {
                info_hash,
                peer_id,
                offer,
            } => {
                let link = link(&offer.offer_id)?;
                self.note(link.clone(), peer_id);
                let Ok(sdp) = self.peer.answer(link, self.stream, offer.sdp).await else {
                    return Ok(());
                };
                let answer = ClientMessage::Answer(Answer {
                    info_hash,
                    peer_id: self.me,
                    to_peer_id: peer_id,
                    offer_id: offer.offer_id,
                    sdp,
                });
                self.socket.send(Message::text(answer.to_json())).await?;
            }
            ServerMessage::Answer {
                peer_id,
                offer_id,
                sdp,
                ..
            } => {
                let link = link(&offer_id)?;
                self.note(link.clone(), peer_id);
                // One that was given up meanwhile is offered anew.
                let _ = self.peer.accept(link, sdp).await;
            }
            ServerMessage::Announced { .. } | ServerMessage::Failure { .. } => {}
        }
        Ok(())
    }

    fn happened(&self, event: Event) {
        let mut links = self.links.lock();
        match event {
            Event::Opened { link, .. } => {
                if let Some(link) = links.get_mut(&link) {
                    link.open = true;
                }
            }
            Event::Closed { link, .. } => drop(links.remove(&link)),
            Event::Announced { link, loaded, .. } => {
                if let Some(link) = links.get_mut(&link) {
                    link.has = loaded.into_iter().collect();
                }
            }
        }
    }
}

fn link(offer: &OfferId) -> Result<LinkId> {
    let bytes = bytes::Bytes::copy_from_slice(offer.as_bytes());
    LinkId::new(bytes).context("a link's name")
}

/// What a tracker says last to who is cut off, or what came before.
pub async fn until_closed(socket: &mut Socket) -> Result<()> {
    loop {
        match socket.next().await {
            None | Some(Err(_) | Ok(Message::Close(_))) => return Ok(()),
            Some(Ok(message)) => {
                if let Message::Text(text) = &message {
                    tracker_words(text)?;
                }
            }
        }
    }
}

fn tracker_words(text: &str) -> Result<(), tracker::Error> {
    ServerMessage::parse(text).map(drop)
}

/// Says the same again and again; fails when it is cut off.
pub async fn shout(socket: &mut Socket, text: &str, times: usize) -> Result<()> {
    for _ in 0..times {
        socket.send(Message::text(text.to_owned())).await?;
    }
    Ok(())
}
