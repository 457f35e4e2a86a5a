//! What a test stands on: an outbox of its own, a name of its own on the broker, and subscribers that
//! remember.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use events::{
    Broadcast, Bus, DeadLetters, Event, Fact, Handler, HandlerError, Kind, Nudge, Subscription,
};
use parking_lot::Mutex;
use runtime::{Health, Shutdown};
use storage::{Database, KeyHash, NewAudit, NewStream, StreamHistory};
use types::{BroadcastId, EventId, Secret, Slug, StreamId};

/// The broker of the tests that don't kill it.
pub(crate) fn broker() -> String {
    std::env::var("STREAMR_TEST_RABBITMQ").expect(
        "STREAMR_TEST_RABBITMQ names a RabbitMQ to test on; ./scripts/test starts one and sets it",
    )
}

/// Waits until it is so.
pub(crate) async fn soon(what: &str, is_so: impl Fn() -> bool) {
    testkit::eventually(Duration::from_secs(30), what, || async {
        Ok(is_so().then_some(()))
    })
    .await
    .unwrap();
}

pub(crate) fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

/// `each` changes of each of `streams` streams, interleaved.
pub(crate) fn events(streams: usize, each: u64) -> Vec<Event> {
    let streams: Vec<StreamId> = (0..streams).map(|_| StreamId::new()).collect();
    let mut told = Vec::new();
    for version in 1..=each {
        told.extend(streams.iter().map(|stream| Event {
            id: EventId::new(),
            time_us: now_us(),
            version,
            trace_parent: String::new(),
            fact: Fact::StreamChanged { stream: *stream },
        }));
    }
    told
}

/// Where a test runs.
pub(crate) struct Bed {
    pub(crate) database: Database,
    pub(crate) url: Secret<String>,
    pub(crate) name: String,
    pub(crate) streams: Mutex<Vec<(StreamId, Slug)>>,
    folder: Option<tempfile::TempDir>,
    admin: Option<Database>,
}

fn unique() -> String {
    format!("t{}", EventId::new().as_uuid().simple())
}

impl Bed {
    fn new(database: Database, url: &str) -> Self {
        Self {
            database,
            url: Secret::new(url.to_owned()),
            name: unique(),
            streams: Mutex::default(),
            folder: None,
            admin: None,
        }
    }

    /// The local bus on a file.
    pub(crate) async fn on_sqlite() -> Self {
        let folder = tempfile::TempDir::with_prefix("bus-").unwrap();
        let url = format!("sqlite:{}", folder.path().join("outbox.db").display());
        let database = Database::connect(&Secret::new(url)).await.unwrap();
        Self {
            folder: Some(folder),
            ..Self::new(database, "local:")
        }
    }

    /// The bus at `url`, on a database of its own.
    pub(crate) async fn on_postgres(url: &str) -> Self {
        let server = std::env::var("STREAMR_TEST_POSTGRES").expect(
            "STREAMR_TEST_POSTGRES names a PostgreSQL to test on; ./scripts/test starts one and sets it",
        );
        let admin = Database::connect(&Secret::new(server.clone()))
            .await
            .unwrap();
        let name = unique();
        let create = format!("CREATE DATABASE {name}");
        admin.execute_for_tests(&create).await.unwrap();
        let (place, _) = server.rsplit_once('/').unwrap();
        let own = Secret::new(format!("{place}/{name}"));
        let database = Database::connect(&own).await.unwrap();
        Self {
            name,
            admin: Some(admin),
            ..Self::new(database, url)
        }
    }

    /// Removes what was made.
    pub(crate) async fn end(self) {
        if let Some(admin) = &self.admin {
            let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
            admin.execute_for_tests(&drop).await.unwrap();
        }
        drop(self.folder);
    }

    /// A process with these subscriptions.
    pub(crate) fn run(&self, subscriptions: impl IntoIterator<Item = Subscription>) -> Running {
        let outbox = Arc::new(self.database.outbox());
        let mut bus = Bus::open(&self.url, &self.name, outbox, Nudge::default()).unwrap();
        for subscription in subscriptions {
            bus.subscribe(subscription);
        }
        let (shutdown, health) = (Shutdown::new(), Health::default());
        shutdown.spawn(bus.run(shutdown.clone(), health.require("bus")));
        Running { shutdown, health }
    }

    pub(crate) fn dead_letters(&self) -> DeadLetters {
        let outbox = Arc::new(self.database.outbox());
        DeadLetters::new(&self.url, &self.name, outbox).unwrap()
    }

    pub(crate) async fn write(&self, told: &[Event]) {
        let outbox = self.database.outbox();
        outbox.write_for_tests(told).await.unwrap();
    }

    /// Starts and ends of `each` broadcasts of each of `streams` new streams.
    pub(crate) async fn broadcasts(&self, streams: usize, each: u64) -> Vec<Event> {
        for _ in 0..streams {
            let slug: Slug = format!("s{}", StreamId::new()).parse().unwrap();
            let mut key = [0; 32];
            key[..16].copy_from_slice(StreamId::new().as_uuid().as_bytes());
            let new = NewStream::new(slug.clone(), String::new(), KeyHash(key));
            let repository = self.database.streams();
            let made = repository.create(new, NewAudit::new("test.made"));
            let id = made.await.unwrap().id;
            self.streams.lock().push((id, slug));
        }
        let streams = self.streams.lock().clone();
        let mut told = Vec::new();
        for turn in 0..each {
            for (stream, slug) in &streams {
                told.extend(broadcast(*stream, slug, turn * 2 + 1));
            }
        }
        told
    }

    /// The history, as the coordinator subscribes to it.
    pub(crate) fn history(&self) -> Subscription {
        Subscription {
            name: "test.history",
            kind: Kind::Durable,
            facts: &["StreamStarted", "StreamEnded"],
            handler: Arc::new(WriteHistory(self.database.history())),
        }
    }

    /// Waits until every broadcast is in the history, and checks that none is in it twice.
    pub(crate) async fn took_effect_once(&self, streams: usize, each: u64, limit: Duration) {
        let streams: Vec<_> = self.streams.lock().iter().take(streams).cloned().collect();
        let history = self.database.history();
        for (stream, _) in streams {
            let look = || async {
                let totals = history.totals(stream).await?;
                Ok((totals.broadcasts >= each).then_some(totals))
            };
            let totals = testkit::eventually(limit, "all broadcasts are over", look);
            let totals = totals.await.unwrap();
            assert_eq!(totals.broadcasts, each);
            assert_eq!(totals.sessions, each * 3);
            assert_eq!(
                totals.live,
                Duration::from_secs(10) * u32::try_from(each).unwrap()
            );
        }
    }
}

/// A broadcast of ten seconds with three sessions.
pub(crate) fn broadcast(stream: StreamId, slug: &Slug, version: u64) -> [Event; 2] {
    let told = Broadcast {
        id: BroadcastId::new(),
        started_us: now_us() - 10_000_000,
        ended_us: 0,
        peak_viewers: 2,
        sessions: 3,
    };
    let told = Broadcast {
        ended_us: told.started_us + 10_000_000,
        ..told
    };
    let event = |version, fact| Event {
        id: EventId::new(),
        time_us: now_us(),
        version,
        trace_parent: String::new(),
        fact,
    };
    let start = Fact::StreamStarted {
        stream,
        slug: slug.clone(),
        broadcast: told.id,
    };
    let end = Fact::StreamEnded {
        stream,
        slug: slug.clone(),
        broadcast: told,
    };
    [event(version, start), event(version + 1, end)]
}

struct WriteHistory(StreamHistory);

#[async_trait]
impl Handler for WriteHistory {
    async fn handle(&self, events: &[Event]) -> Result<(), HandlerError> {
        let applied = self.0.apply("test.history", events).await;
        applied.map(drop).map_err(HandlerError::unavailable)
    }
}

/// A process's bus. It ends when it is dropped.
pub(crate) struct Running {
    shutdown: Shutdown,
    pub(crate) health: Health,
}

impl Running {
    /// Waits until it says that it can carry events.
    pub(crate) async fn ready(&self) {
        soon("the bus is ready", || self.health.missing().is_empty()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A handler that remembers what it was told.
#[derive(Default)]
pub(crate) struct Recorder {
    seen: Mutex<Vec<Event>>,
    poison: Mutex<HashSet<EventId>>,
    unavailable: AtomicBool,
    refusals: AtomicUsize,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn subscription(self: &Arc<Self>, name: &'static str, kind: Kind) -> Subscription {
        Subscription {
            name,
            kind,
            facts: &[],
            handler: Arc::clone(self) as Arc<dyn Handler>,
        }
    }

    pub(crate) fn poison(&self, id: EventId) {
        self.poison.lock().insert(id);
    }

    pub(crate) fn cure(&self) {
        self.poison.lock().clear();
    }

    pub(crate) fn set_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::Relaxed);
    }

    pub(crate) fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().len()
    }

    pub(crate) fn distinct(&self) -> usize {
        let seen = self.seen.lock();
        seen.iter()
            .map(|event| event.id)
            .collect::<HashSet<_>>()
            .len()
    }

    /// What was seen first of each aggregate came in the order of its versions.
    pub(crate) fn check_order(&self) {
        let mut last: HashMap<String, u64> = HashMap::new();
        let mut known = HashSet::new();
        for event in self.seen.lock().iter() {
            if known.insert(event.id) {
                let before = last.insert(event.aggregate(), event.version);
                assert!(before < Some(event.version), "{event:?} after {before:?}");
            }
        }
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, events: &[Event]) -> Result<(), HandlerError> {
        if self.unavailable.load(Ordering::Relaxed) {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(HandlerError::unavailable("its database is away"));
        }
        let poison = self.poison.lock();
        if events.iter().any(|event| poison.contains(&event.id)) {
            return Err(HandlerError::rejected("it can't be applied"));
        }
        self.seen.lock().extend_from_slice(events);
        Ok(())
    }
}
