//! Simulated sessions: a page's tracker connection and its receipts, without the page.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use economy::Receipt;
use futures::{SinkExt, StreamExt};
use p2p::tracker::{
    Announce, Answer, ClientMessage, InfoHash, Offer, OfferId, PeerId, ServerMessage,
};
use parking_lot::Mutex;
use reqwest::Client;
use runtime::Shutdown;
use testkit::{
    Sandbox,
    friends::light::{Session, now_ms},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    time::{Instant, interval, interval_at, sleep, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use types::ByteCount;

use super::links::{Links, description};
use crate::report::progress;

/// As pages do.
const OFFERS: usize = 3;
const ANNOUNCE: Duration = Duration::from_secs(60);
const RECEIPT: Duration = Duration::from_secs(30);
/// Sessions that open at once.
const ABREAST: usize = 256;
/// For an answer of a server that has much to do.
const ANSWER: Duration = Duration::from_secs(30);
/// More failures in a row than this, and no more come.
const TOO_MANY: usize = 200;
/// Of the descriptors, this part is for sessions that stay connected, and as much for those that come back.
const HELD: f64 = 0.4;
/// For who comes back, until it has heard of its nodes.
const VISIT: Duration = Duration::from_secs(2);
/// Ports that one address of ours is good for.
const PORTS: usize = 20_000;
/// One in so many leaves each second, and another comes.
const CHANGING: usize = 500;
/// What a session says it got each second.
const BYTES: u64 = 25_000;

#[derive(Default)]
struct Counts {
    here: AtomicUsize,
    failed: AtomicUsize,
    announces: AtomicU64,
    receipts: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// What all sessions share.
struct Shared {
    pages: String,
    server: SocketAddr,
    client: Client,
    slugs: Vec<String>,
    links: Arc<Links>,
    counts: Counts,
    opening: Semaphore,
    held: Semaphore,
    most_held: usize,
    visits: Semaphore,
}

/// Sessions that are there. They go when this is dropped.
pub(super) struct Sessions {
    shared: Arc<Shared>,
    shutdown: Shutdown,
    /// Each with what ends it, the oldest first.
    each: std::collections::VecDeque<Shutdown>,
    next: usize,
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Sessions {
    pub(super) fn new(
        sandbox: &Sandbox,
        slugs: Vec<String>,
        links: Arc<Links>,
        descriptors: usize,
    ) -> Result<Self> {
        let most_held = (descriptors as f64 * HELD) as usize;
        Ok(Self {
            shared: Arc::new(Shared {
                pages: sandbox.pages(),
                server: sandbox.pages_address(),
                client: testkit::http::client()?,
                slugs,
                links,
                counts: Counts::default(),
                opening: Semaphore::new(ABREAST),
                held: Semaphore::new(most_held),
                most_held,
                visits: Semaphore::new(most_held),
            }),
            shutdown: Shutdown::new(),
            each: std::collections::VecDeque::new(),
            next: 0,
        })
    }

    fn start_one(&mut self) {
        if self.next >= self.shared.links.most() {
            return;
        }
        let (shared, number, own) = (self.shared.clone(), self.next, Shutdown::new());
        self.next += 1;
        self.each.push_back(own.clone());
        self.shutdown.spawn_until_cancelled(async move {
            let ended = tokio::select! {
                ended = live(&shared, number) => ended,
                () = own.cancelled() => Ok(()),
            };
            shared.links.leave(number);
            if let Err(error) = ended {
                shared.counts.failed.fetch_add(1, Ordering::Relaxed);
                *shared.counts.trouble.lock() = Some(format!("{error:#}"));
            }
        });
    }

    /// So many come, or as many as the server takes.
    pub(super) async fn come(&mut self, count: usize, rate: usize) {
        let mut tick = interval(Duration::from_millis(100));
        let step = (rate / 10).max(1);
        let began = Instant::now();
        while self.next < count {
            tick.tick().await;
            for _ in 0..step.min(count - self.next) {
                self.start_one();
            }
            if self.next % (step * 100) < step {
                progress(&format!("  {} of {} sessions", self.here(), self.next));
            }
            let waiting = self.next.saturating_sub(self.here());
            let behind = waiting > rate * 20;
            if behind || self.shared.counts.failed.load(Ordering::Relaxed) > TOO_MANY {
                break;
            }
        }
        let patience = began.elapsed() + ANSWER * 2;
        while self.here() + self.shared.counts.failed.load(Ordering::Relaxed) < self.next
            && began.elapsed() < patience
        {
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Some leave and others come, for a while.
    pub(super) async fn change(&mut self, time: Duration) {
        let mut tick = interval(Duration::from_millis(100));
        let (began, step) = (Instant::now(), (self.here() / CHANGING / 10).max(1));
        while began.elapsed() < time {
            tick.tick().await;
            for _ in 0..step {
                if let Some(oldest) = self.each.pop_front() {
                    oldest.cancel();
                }
                self.start_one();
            }
        }
    }

    /// Sessions that announced themselves, and have not left.
    pub(super) fn here(&self) -> usize {
        self.shared.counts.here.load(Ordering::Relaxed)
    }

    /// How many stay connected at once.
    pub(super) fn most_held(&self) -> usize {
        self.shared.most_held
    }

    /// Announces and receipts so far.
    pub(super) fn said(&self) -> (u64, u64) {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&counts.announces), read(&counts.receipts))
    }

    /// What went wrong last.
    pub(super) fn trouble(&self) -> Option<String> {
        let counts = &self.shared.counts;
        let failed = counts.failed.load(Ordering::Relaxed);
        let last = counts.trouble.lock().clone()?;
        Some(format!("{failed} failed, the last: {last}"))
    }
}

/// A session that is counted while it is there.
struct Here<'a>(&'a Counts);

impl<'a> Here<'a> {
    fn comes(counts: &'a Counts) -> Self {
        counts.here.fetch_add(1, Ordering::Relaxed);
        Self(counts)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.here.fetch_sub(1, Ordering::Relaxed);
    }
}

/// From an address of its own group: one has not ports enough.
async fn connect(shared: &Shared, number: usize, url: &str) -> Result<WebSocketStream<TcpStream>> {
    let group = number / PORTS;
    let source = Ipv4Addr::new(127, 1, (group / 200) as u8, (group % 200) as u8 + 1);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    let stream = socket.connect(shared.server).await?;
    let small = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0);
    let (socket, _) = client_async_with_config(url, stream, Some(small)).await?;
    Ok(socket)
}

fn letters<const N: usize>() -> [u8; N] {
    std::array::from_fn(|_| b'a' + rand::random::<u8>() % 26)
}

struct Page<'a> {
    shared: &'a Shared,
    number: usize,
    session: Session,
    /// While it is connected.
    socket: Option<WebSocketStream<TcpStream>>,
    me: PeerId,
    swarm: InfoHash,
    counter: u64,
    began: Instant,
}

async fn live(shared: &Shared, number: usize) -> Result<()> {
    let opening = shared.opening.acquire().await?;
    let slug = shared
        .slugs
        .get(number % shared.slugs.len())
        .context("no stream")?;
    let open = Session::open_by(&shared.client, &shared.pages, slug, true);
    let session = timeout(ANSWER, open).await.context("open a session")??;
    let held = shared.held.try_acquire().ok();
    let mut me = *b"-PM0203-000000000000";
    me[8..].copy_from_slice(&letters::<12>());
    let mut page = Page {
        shared,
        number,
        session,
        socket: None,
        me: PeerId::new(me),
        swarm: InfoHash::new(*b"simulated-pages-meet"),
        counter: 0,
        began: Instant::now(),
    };
    page.connect().await?;
    shared.links.announces(number);
    page.announce().await?;
    drop(opening);
    let _here = Here::comes(&shared.counts);
    match held {
        Some(_held) => page.stay().await,
        None => page.come_back().await,
    }
}

impl Page<'_> {
    async fn connect(&mut self) -> Result<()> {
        let tracker = self.session.trackers.first().context("no tracker")?;
        let socket = timeout(ANSWER, connect(self.shared, self.number, tracker)).await;
        self.socket = Some(socket.context("connect to the tracker")??);
        Ok(())
    }

    /// What the tracker says next.
    async fn hear(&mut self) -> Result<()> {
        let Some(socket) = &mut self.socket else {
            return std::future::pending().await;
        };
        match socket.next().await.context("the tracker hung up")?? {
            Message::Text(text) => self.told(&text).await,
            Message::Close(_) => anyhow::bail!("the tracker closed"),
            _ => Ok(()),
        }
    }

    /// Connects for each announce, and is gone between them.
    async fn come_back(&mut self) -> Result<()> {
        let first = Instant::now() + RECEIPT.mul_f64(rand::random());
        let mut receipt = interval_at(first, RECEIPT);
        let mut announce = interval_at(Instant::now() + ANNOUNCE, ANNOUNCE);
        let mut visit = None;
        loop {
            let visited = Instant::now() + VISIT;
            while let Ok(heard) = timeout_at(visited, self.hear()).await {
                heard?;
            }
            self.socket = None;
            drop(visit.take());
            loop {
                tokio::select! {
                    _ = announce.tick() => break,
                    _ = receipt.tick() => self.receipt().await?,
                }
            }
            let shared = self.shared;
            visit = Some(shared.visits.acquire().await?);
            self.connect().await?;
            self.announce().await?;
        }
    }

    async fn stay(&mut self) -> Result<()> {
        let mut announce = interval_at(Instant::now() + ANNOUNCE, ANNOUNCE);
        let first = Instant::now() + RECEIPT.mul_f64(rand::random());
        let mut receipt = interval_at(first, RECEIPT);
        loop {
            tokio::select! {
                heard = self.hear() => heard?,
                _ = announce.tick() => self.announce().await?,
                _ = receipt.tick() => self.receipt().await?,
            }
        }
    }

    async fn say(&mut self, message: ClientMessage) -> Result<()> {
        if let Some(socket) = &mut self.socket {
            let sent = socket.send(Message::text(message.to_json()));
            timeout(ANSWER, sent).await.context("tell the tracker")??;
        }
        Ok(())
    }

    async fn announce(&mut self) -> Result<()> {
        let offer = || {
            Some(Offer {
                offer_id: OfferId::new(&letters::<20>())?,
                sdp: description(self.number),
            })
        };
        let announce = Announce {
            info_hash: self.swarm,
            peer_id: self.me,
            event: None,
            numwant: OFFERS as u32,
            offers: (0..OFFERS).filter_map(|_| offer()).collect(),
        };
        self.shared.counts.announces.fetch_add(1, Ordering::Relaxed);
        self.say(ClientMessage::Announce(announce)).await
    }

    async fn told(&mut self, text: &str) -> Result<()> {
        if let ServerMessage::Offer {
            info_hash,
            peer_id,
            offer,
        } = ServerMessage::parse(text)?
        {
            let answer = Answer {
                info_hash,
                peer_id: self.me,
                to_peer_id: peer_id,
                offer_id: offer.offer_id,
                sdp: description(self.number),
            };
            self.say(ClientMessage::Answer(answer)).await?;
        }
        Ok(())
    }

    async fn receipt(&mut self) -> Result<()> {
        self.counter += 1;
        let bytes = self.began.elapsed().as_secs() * BYTES;
        let nodes = self.shared.links.nodes(self.number).into_iter();
        let receipt = Receipt {
            session: self.session.id,
            epoch: 1,
            counter: self.counter,
            at_ms: now_ms(),
            nodes: nodes.map(|node| (node, ByteCount::new(bytes))).collect(),
            peers: ByteCount::ZERO,
            edge: ByteCount::new(bytes),
        };
        let sent = self.session.send(&receipt, self.session.sign(&receipt));
        let answer = timeout(ANSWER, sent).await.context("send a receipt")??;
        ensure!(answer.status == 200, "a receipt: {}", answer.text());
        self.shared.counts.receipts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
