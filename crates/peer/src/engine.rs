//! The task behind a peer: owns sockets and links, gives each link its turn.

mod asks;
mod links;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use runtime::Shutdown;
use str0m::RtcConfig;
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep_until,
};

use crate::{
    bucket::Bucket,
    handle::Ask,
    link::Link,
    outer::OuterAddress,
    socket::{Inbox, Outbox, Outgoing, Socket},
    source::Source,
    words::{Delivered, Event, LinkId, Options},
};

/// Receives in a row before anything else has its turn.
const RECEIVES: usize = 8;
/// Closed links whose deliveries nobody has asked for.
const MAX_FINISHED: usize = 10_000;
/// Events that wait; with more, no new link is made.
const MAX_PENDING: usize = 4096;
/// Without anything to do.
const IDLE: Duration = Duration::from_secs(60);

pub(crate) struct Engine {
    options: Options,
    source: Arc<dyn Source>,
    sockets: Vec<Socket>,
    outers: Vec<OuterAddress>,
    config: RtcConfig,
    links: HashMap<LinkId, Link>,
    /// Which link datagrams of an address were for. A guess: each link still checks.
    routes: HashMap<SocketAddr, LinkId>,
    outbox: Outbox,
    bucket: Bucket,
    /// Links that wait for the bucket, in the order of their turns.
    throttled: VecDeque<LinkId>,
    /// When the bucket lets the next message pass.
    resumes: Instant,
    finished: VecDeque<Delivered>,
    events: mpsc::Sender<Event>,
    pending: VecDeque<Event>,
    draining: Option<oneshot::Sender<()>>,
    drains: bool,
}

impl Engine {
    pub(crate) fn new(
        options: Options,
        source: Arc<dyn Source>,
        sockets: Vec<Socket>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let now = Instant::now();
        Self {
            outers: sockets.iter().map(|_| OuterAddress::new(now)).collect(),
            options,
            source,
            sockets,
            config: links::config(),
            links: HashMap::new(),
            routes: HashMap::new(),
            outbox: Outbox::default(),
            bucket: Bucket::unlimited(),
            throttled: VecDeque::new(),
            resumes: now,
            finished: VecDeque::new(),
            events,
            pending: VecDeque::new(),
            draining: None,
            drains: false,
        }
    }

    pub(crate) async fn run(mut self, mut asks: mpsc::Receiver<Ask>, shutdown: Shutdown) {
        let mut inbox = Inbox::new();
        let events = self.events.clone();
        let sleep = sleep_until(tokio::time::Instant::now());
        tokio::pin!(sleep);
        loop {
            let deadline = tokio::time::Instant::from_std(self.deadline());
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                ask = asks.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => break,
                },
                index = readable(&self.sockets) => self.receive(index, &mut inbox),
                () = writable(&self.sockets), if !self.outbox.is_empty() => {}
                permit = events.reserve(), if !self.pending.is_empty() => {
                    if let (Ok(permit), Some(event)) = (permit, self.pending.pop_front()) {
                        permit.send(event);
                    }
                }
                () = &mut sleep => self.tick(),
            }
            self.serve_throttled();
            self.outbox.flush(&self.sockets);
            self.finish_drain();
        }
        self.close_all();
        self.outbox.flush(&self.sockets);
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let throttle = self.throttled.front().map(|_| self.resumes);
        let outers = self.outers.iter().filter_map(OuterAddress::deadline);
        let links = self.links.values().map(Link::deadline);
        let all = outers.chain(links).chain(throttle);
        all.fold(now + IDLE, Instant::min)
    }

    fn receive(&mut self, index: usize, inbox: &mut Inbox) {
        for _ in 0..RECEIVES {
            let Some(socket) = self.sockets.get(index) else {
                return;
            };
            if let Err(error) = socket.receive(inbox) {
                if error.kind() != std::io::ErrorKind::WouldBlock {
                    tracing::debug!(%error, "nothing received");
                }
                return;
            }
            let bound = socket.address();
            for datagram in inbox.datagrams() {
                let to = datagram
                    .to
                    .map_or(bound, |ip| SocketAddr::new(ip, bound.port()));
                self.datagram(index, datagram.from, to, datagram.contents);
            }
            self.outbox.flush(&self.sockets);
        }
    }

    fn datagram(&mut self, index: usize, from: SocketAddr, to: SocketAddr, contents: &[u8]) {
        let now = Instant::now();
        let outer = self.outers.get_mut(index);
        if outer.is_some_and(|outer| outer.take(contents, from, to, now)) {
            return;
        }
        self.link_datagram(from, to, contents, now);
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for (outer, socket) in self.outers.iter_mut().zip(&self.sockets) {
            if let Some((destination, contents)) = outer.due(now) {
                self.outbox.push(Outgoing {
                    source: socket.address().ip(),
                    destination,
                    contents,
                });
            }
        }
        let due = self.links.values().filter(|link| link.deadline() <= now);
        let due: Vec<LinkId> = due.map(|link| link.id.clone()).collect();
        for link in due {
            self.time_passed(&link, now);
        }
    }

    /// Those that wait for the limit get a message each, in turn.
    fn serve_throttled(&mut self) {
        for _ in 0..self.throttled.len() {
            let now = Instant::now();
            if let Err(at) = self.bucket.ready(now) {
                self.resumes = at;
                return;
            }
            if let Some(link) = self.throttled.pop_front() {
                self.time_passed(&link, now);
            }
        }
    }

    fn happened(&mut self, event: Event) {
        if matches!(event, Event::Announced { .. }) {
            if self.pending.len() >= MAX_PENDING {
                return;
            }
            let Event::Announced { link: ref new, .. } = event else {
                return;
            };
            self.pending
                .retain(|old| !matches!(old, Event::Announced { link, .. } if link == new));
        }
        self.pending.push_back(event);
    }

    fn finish_drain(&mut self) {
        if self.draining.is_some() && !self.links.values().any(Link::is_serving) {
            let done = self.draining.take();
            done.map(|done| done.send(()));
        }
    }
}

/// Which socket has something.
async fn readable(sockets: &[Socket]) -> usize {
    match sockets {
        [first, second, ..] => tokio::select! {
            _ = first.readable() => 0,
            _ = second.readable() => 1,
        },
        [only] => {
            let _ = only.readable().await;
            0
        }
        [] => std::future::pending().await,
    }
}

/// Any takes something.
async fn writable(sockets: &[Socket]) {
    for socket in sockets {
        let _ = socket.writable().await;
    }
}
