//! The running node: what its tasks share, and the one task that counts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use peer::{Event, Events, LinkId, Peer};
use tokio::sync::{mpsc, watch};
use types::{Bitrate, ByteCount, NodeId, RunId, StreamId};

use crate::{
    clock,
    error::Error,
    files::DataDir,
    identity::{Identity, Server},
    invite::Origin,
    limits::{Facts, Standing, standing},
    memory::Memory,
    net::Net,
    pace::pace,
    pull::PullState,
    reports::{Reporter, Spooled},
    settings::{Given, Limits},
    window::Window,
};

/// Between two counts.
const COUNT: Duration = Duration::from_millis(500);
/// What is shown as the bitrate of now.
const RATE_OVER: usize = 10;
/// Between two writes of what was carried.
const SAVE: Duration = Duration::from_secs(30);
/// Between two reports for a coordinator that is away; one that is there says how often it wants some.
const REPORT: Duration = Duration::from_secs(10);
/// Changes of links that wait for their coordinator.
const MAX_CHANGES: usize = 1024;
const SPOOL: &str = "reports.json";

/// A link opened or closed.
#[derive(Debug, Clone)]
pub(crate) struct LinkChange {
    /// As its coordinator calls it.
    pub(crate) link: Bytes,
    /// Opened; otherwise closed.
    pub(crate) open: bool,
    /// The viewer.
    pub(crate) address: String,
}

/// How a coordinator stands, for the friend to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerStanding {
    /// Connected and welcomed.
    pub(crate) connected: bool,
    /// What is wrong, when it isn't.
    pub(crate) trouble: Option<String>,
    /// What the clock there said more than ours, in milliseconds.
    pub(crate) clock_ahead_ms: i64,
    /// The page there that shows what this node carried; empty: none.
    pub(crate) supporter_url: String,
}

/// One coordinator, as the node's tasks share it.
pub(crate) struct ServerState {
    /// Tells links of several coordinators apart.
    pub(crate) index: u16,
    /// Where it is.
    pub(crate) origin: Origin,
    /// What it calls the node.
    pub(crate) node_id: NodeId,
    /// What is to be said of deliveries.
    pub(crate) reporter: Mutex<Reporter>,
    /// For the friend to read.
    pub(crate) standing: Mutex<ServerStanding>,
    /// Pulls that run.
    pub(crate) pulls: Mutex<BTreeMap<StreamId, Arc<PullState>>>,
    /// Downloaded from edges since the run began, by pulls that are over.
    pub(crate) downloaded_before: AtomicU64,
    /// What its clock said when it welcomed us: in milliseconds of Unix time.
    clock: Mutex<Option<(Instant, i64)>>,
    changes: mpsc::Sender<LinkChange>,
}

impl ServerState {
    /// A link's name for the peer: several coordinators may use the same.
    pub(crate) fn link(&self, link: &[u8]) -> Option<LinkId> {
        let mut name = BytesMut::with_capacity(link.len() + 2);
        name.put_u16(self.index);
        name.extend_from_slice(link);
        LinkId::new(name.freeze())
    }

    /// Its clock says so much now, in milliseconds of Unix time.
    pub(crate) fn says_the_time(&self, unix_ms: i64) {
        *self.clock.lock() = Some((Instant::now(), unix_ms));
    }

    /// Now by its clock, in milliseconds of Unix time: a friend's own may be hours off, or set right meanwhile. Our
    /// own until it said anything.
    pub(crate) fn now_ms(&self) -> i64 {
        let said = *self.clock.lock();
        said.map_or_else(clock::unix_ms, |(at, unix_ms)| {
            let since = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
            unix_ms.saturating_add(since)
        })
    }

    /// Reports what was delivered since the last time.
    pub(crate) fn close_report(&self, identity: &Identity) {
        let now = self.now_ms();
        self.reporter.lock().close(identity, self.node_id, now);
    }

    /// Downloaded from edges since the run began.
    pub(crate) fn downloaded(&self) -> u64 {
        let running = self.pulls.lock();
        let running = running
            .values()
            .map(|p| p.downloaded.load(Ordering::Relaxed));
        self.downloaded_before.load(Ordering::Relaxed) + running.sum::<u64>()
    }
}

/// The coordinator's index, and the link as it calls it.
pub(crate) fn split(link: &LinkId) -> Option<(u16, Bytes)> {
    let bytes = link.as_bytes();
    let index = bytes.first_chunk::<2>()?;
    Some((u16::from_be_bytes(*index), bytes.slice(2..)))
}

/// The node.
pub(crate) struct Node {
    /// Its folder.
    pub(crate) data: DataDir,
    /// What flags and environment say.
    pub(crate) flags: Given,
    /// Who it is.
    pub(crate) identity: Mutex<Identity>,
    /// What the friend allows.
    pub(crate) limits: Mutex<Limits>,
    /// What coordinators measured that its line takes, by their index.
    measured: Mutex<BTreeMap<u16, Bitrate>>,
    /// What it remembers.
    pub(crate) memory: Mutex<Memory>,
    /// What it serves.
    pub(crate) window: Arc<Window>,
    /// Who serves it.
    pub(crate) peer: Peer,
    /// The way out.
    pub(crate) net: Net,
    /// This run.
    pub(crate) run: RunId,
    /// Uploaded to viewers since the run began.
    pub(crate) uploaded: AtomicU64,
    /// Something that coordinators should hear of at once.
    pub(crate) changed: watch::Sender<u64>,
    /// Tells where viewers are served now.
    pub(crate) loads: Mutex<HashMap<StreamId, Load>>,
    stopping: AtomicBool,
    servers: Mutex<BTreeMap<Origin, Arc<ServerState>>>,
    spooled: Mutex<HashMap<Origin, Vec<Spooled>>>,
}

/// What one stream's viewers get.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load {
    /// With an open data channel.
    pub(crate) viewers: u32,
    recent: [u64; RATE_OVER],
    at: usize,
}

impl Load {
    /// Bits per second over the last seconds.
    pub(crate) fn bitrate(&self) -> Bitrate {
        let span = COUNT * RATE_OVER as u32;
        ByteCount::new(self.recent.iter().sum()).per(span)
    }
}

impl Node {
    /// Of its folder, before any task runs.
    pub(crate) fn new(
        data: DataDir,
        flags: Given,
        limits: Limits,
        identity: Identity,
        (net, peer, window): (Net, Peer, Arc<Window>),
    ) -> Result<Self, Error> {
        let memory = Memory::load(&data)?;
        let spooled = data.read(SPOOL)?.unwrap_or_default();
        Ok(Self {
            memory: Mutex::new(memory),
            spooled: Mutex::new(serde_json::from_str(&spooled).unwrap_or_default()),
            data,
            flags,
            identity: Mutex::new(identity),
            limits: Mutex::new(limits),
            measured: Mutex::default(),
            window,
            peer,
            net,
            run: RunId::new(),
            uploaded: AtomicU64::new(0),
            changed: watch::Sender::new(0),
            loads: Mutex::default(),
            stopping: AtomicBool::new(false),
            servers: Mutex::default(),
        })
    }

    /// Whether new viewers are welcome now, and why not.
    pub(crate) fn standing(&self) -> Standing {
        let facts = {
            let memory = self.memory.lock();
            Facts {
                help: memory.help,
                stopping: self.stopping.load(Ordering::Relaxed),
                month: memory.month_bytes,
                minute: clock::local().minute,
            }
        };
        standing(&self.limits.lock(), facts)
    }

    /// A coordinator measured what can be uploaded. One that is far away measures less than the line takes.
    pub(crate) async fn measured(&self, server: u16, upload: Bitrate) {
        self.measured.lock().insert(server, upload);
        self.keep_pace().await;
    }

    /// Sends as fast as it may from now on.
    pub(crate) async fn keep_pace(&self) {
        let allowed = self.limits.lock().bitrate;
        let measured = self.measured.lock().values().copied().max();
        self.peer.limit(pace(allowed, measured)).await;
    }

    /// Viewers of all streams.
    pub(crate) fn viewers(&self) -> u32 {
        self.loads.lock().values().map(|load| load.viewers).sum()
    }

    /// Coordinators are to hear how it is now.
    pub(crate) fn tell(&self) {
        self.changed
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    /// No new viewers from now on.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.tell();
    }

    /// Remembers a message, and says it.
    pub(crate) fn heard(&self, from: &str, text: &str) {
        tracing::info!(from, text, "message");
        self.memory.lock().heard(clock::unix_ms(), from, text);
    }

    /// The coordinators that it speaks with.
    pub(crate) fn servers(&self) -> Vec<Arc<ServerState>> {
        self.servers.lock().values().cloned().collect()
    }

    /// Begins to speak with a coordinator; `None` when it does already.
    pub(crate) fn add_server(
        &self,
        server: &Server,
    ) -> Option<(Arc<ServerState>, mpsc::Receiver<LinkChange>)> {
        let mut servers = self.servers.lock();
        if servers.contains_key(&server.origin) {
            return None;
        }
        let (changes, changed) = mpsc::channel(MAX_CHANGES);
        let spooled = self.spooled.lock().remove(&server.origin);
        let state = Arc::new(ServerState {
            index: u16::try_from(servers.len()).ok()?,
            origin: server.origin.clone(),
            node_id: server.node_id,
            reporter: Mutex::new(Reporter::new(
                self.run,
                clock::unix_ms(),
                spooled.unwrap_or_default(),
            )),
            standing: Mutex::default(),
            pulls: Mutex::default(),
            downloaded_before: AtomicU64::new(0),
            clock: Mutex::default(),
            changes,
        });
        servers.insert(server.origin.clone(), Arc::clone(&state));
        Some((state, changed))
    }

    fn server(&self, index: u16) -> Option<Arc<ServerState>> {
        let servers = self.servers.lock();
        servers
            .values()
            .find(|server| server.index == index)
            .cloned()
    }

    /// Whether a coordinator may have this stream served: the friend was invited to it, there.
    pub(crate) fn is_invited(&self, origin: &Origin, stream: StreamId) -> bool {
        let identity = self.identity.lock();
        let mut servers = identity.servers.iter();
        servers.any(|s| s.origin == *origin && s.streams.iter().any(|s| s.id == stream))
    }

    /// The friend is invited no longer.
    pub(crate) fn uninvited(&self, origin: &Origin, stream: Option<StreamId>) {
        let mut identity = self.identity.lock();
        // Another `join` may have written it a moment ago.
        if let Ok(Some(fresh)) = Identity::load(&self.data) {
            *identity = fresh;
        }
        identity.left(origin, stream);
        if let Err(error) = identity.save(&self.data) {
            tracing::error!(%error, "identity is not saved");
        }
    }

    /// Takes in what happened to links and counts what was delivered. Until it is dropped.
    pub(crate) async fn count(self: Arc<Self>, mut events: Events) {
        let mut tick = tokio::time::interval(COUNT);
        let mut save = tokio::time::interval(SAVE);
        let mut report = tokio::time::interval(REPORT);
        let mut was = self.standing();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.link_event(event),
                    None => return,
                },
                _ = tick.tick() => {
                    self.collect().await;
                    let now = self.standing();
                    if now != was {
                        tracing::info!(standing = now.words(), "standing");
                        was = now;
                        self.tell();
                    }
                }
                _ = report.tick() => self.close_reports(|server| !server.standing.lock().connected),
                _ = save.tick() => self.save(),
            }
        }
    }

    fn link_event(&self, event: Event) {
        let (link, open, address) = match event {
            Event::Opened { link, address, .. } => (link, true, address),
            Event::Closed { link, .. } => (link, false, None),
            Event::Announced { .. } => return,
        };
        let Some((index, link)) = split(&link) else {
            return;
        };
        let change = LinkChange {
            link,
            open,
            address: address.map_or_else(String::new, |address| address.to_string()),
        };
        let sent = self.server(index).map(|s| s.changes.try_send(change));
        if let Some(Err(error)) = sent {
            tracing::warn!(%error, "coordinator does not hear of a link");
        }
    }

    /// Shares out what was delivered since the last time.
    pub(crate) async fn collect(&self) {
        let delivered = self.peer.deliveries().await;
        let links = self.peer.links().await;
        let mut sums: HashMap<StreamId, u64> = HashMap::new();
        for delivered in delivered {
            let bytes = delivered.bytes.get();
            *sums.entry(delivered.stream).or_default() += bytes;
            if let Some((index, link)) = split(&delivered.link)
                && let Some(server) = self.server(index)
            {
                server.reporter.lock().add(link, bytes, delivered.segments);
            }
        }
        let all = sums.values().sum();
        self.uploaded.fetch_add(all, Ordering::Relaxed);
        self.memory
            .lock()
            .carried(ByteCount::new(all), &clock::local());
        let mut loads = self.loads.lock();
        for load in loads.values_mut() {
            load.viewers = 0;
        }
        for link in links.iter().filter(|link| link.open) {
            loads.entry(link.stream).or_default().viewers += 1;
        }
        for (stream, load) in loads.iter_mut() {
            load.at = (load.at + 1) % RATE_OVER;
            if let Some(slot) = load.recent.get_mut(load.at) {
                *slot = sums.remove(stream).unwrap_or_default();
            }
        }
        loads.retain(|_, load| load.viewers > 0 || load.recent.iter().any(|bytes| *bytes > 0));
    }

    /// Makes reports for some coordinators of what was delivered since the last.
    pub(crate) fn close_reports(&self, some: impl Fn(&ServerState) -> bool) {
        let servers = self.servers();
        let identity = self.identity.lock();
        for server in servers.iter().filter(|server| some(server)) {
            server.close_report(&identity);
        }
    }

    /// Writes what is remembered, and reports that nobody keeps yet.
    pub(crate) fn save(&self) {
        let saved = self.memory.lock().save(&self.data);
        let spool: HashMap<String, Vec<Spooled>> = {
            let servers = self.servers.lock();
            let spools = servers.values().filter_map(|server| {
                let spool = server.reporter.lock().spool();
                (!spool.is_empty()).then(|| (server.origin.to_string(), spool))
            });
            spools.collect()
        };
        let spooled = if spool.is_empty() {
            self.data.remove(SPOOL);
            Ok(())
        } else {
            serde_json::to_vec(&spool)
                .map_err(|error| Error::System(format!("reports: {error}")))
                .and_then(|text| self.data.write(SPOOL, &text))
        };
        for error in [saved.err(), spooled.err()].into_iter().flatten() {
            tracing::error!(%error, "not saved");
        }
    }
}
