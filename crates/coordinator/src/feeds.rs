//! What listeners of a stream hear: one look a quarter of a second at each stream somebody listens to,
//! shared by all of them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use storage::{Database, Stream};
use tokio::{sync::watch, time::Instant};
use types::StreamId;

use crate::{
    history::{HealthSample, Histories},
    live::{Live, LiveStream},
    registry::Registry,
};

/// How often streams are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often what changes all the time is told: viewers, bitrate.
const PACE: Duration = Duration::from_secs(1);
/// How often the database is read for a stream of which no change was heard.
const REREAD: Duration = Duration::from_secs(5);

/// A stream as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// `None`: it was deleted.
    pub(crate) stream: Option<Stream>,
    pub(crate) live: Option<LiveStream>,
    pub(crate) viewers: u32,
    /// The newest sample of a stream that is on air, if it came since the last snapshot.
    pub(crate) sample: Option<HealthSample>,
}

impl Snapshot {
    /// Whether it must be told at once.
    fn is_news_after(&self, before: &Self) -> bool {
        let state = |snapshot: &Self| {
            let live = snapshot.live.as_ref().map(|live| live.state);
            let version = snapshot.stream.as_ref().map(|stream| stream.version);
            (live, version)
        };
        state(self) != state(before)
    }
}

/// One stream's feed.
pub(crate) struct Feed {
    id: StreamId,
    latest: watch::Sender<Arc<Snapshot>>,
    told: Mutex<Told>,
}

struct Told {
    at: Instant,
    read: Instant,
}

impl Feed {
    /// What is now, and what follows.
    pub(crate) fn listen(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.latest.subscribe()
    }
}

/// All feeds. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Feeds {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    live: Arc<Live>,
    registry: Registry,
    histories: Histories,
    /// As many as are listened to.
    feeds: Mutex<HashMap<StreamId, Weak<Feed>>>,
    touched: Mutex<HashSet<StreamId>>,
}

impl Feeds {
    pub(crate) fn new(
        database: &Database,
        live: &Arc<Live>,
        registry: &Registry,
        histories: &Histories,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                database: database.clone(),
                live: Arc::clone(live),
                registry: registry.clone(),
                histories: histories.clone(),
                feeds: Mutex::default(),
                touched: Mutex::default(),
            }),
        }
    }

    /// The feed of a stream that was just read.
    pub(crate) fn of(&self, stream: Stream) -> Arc<Feed> {
        let id = stream.id;
        let mut feeds = self.inner.feeds.lock();
        if let Some(feed) = feeds.get(&id).and_then(Weak::upgrade) {
            return feed;
        }
        let first = self.inner.look(id, Some(stream), None);
        let now = Instant::now();
        let feed = Arc::new(Feed {
            id,
            latest: watch::Sender::new(Arc::new(first)),
            told: Mutex::new(Told { at: now, read: now }),
        });
        feeds.insert(id, Arc::downgrade(&feed));
        feed
    }

    /// The stream changed in the database.
    pub(crate) fn touch(&self, id: StreamId) {
        let listened = self.inner.feeds.lock().contains_key(&id);
        if listened {
            self.inner.touched.lock().insert(id);
        }
    }

    /// Looks at streams, forever.
    pub(crate) async fn run(self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let feeds: Vec<_> = {
                let mut feeds = self.inner.feeds.lock();
                feeds.retain(|_, feed| feed.strong_count() > 0);
                feeds.values().filter_map(Weak::upgrade).collect()
            };
            let touched = std::mem::take(&mut *self.inner.touched.lock());
            for feed in feeds {
                self.inner.tell(&feed, touched.contains(&feed.id)).await;
            }
        }
    }
}

impl Inner {
    fn look(&self, id: StreamId, stream: Option<Stream>, since: Option<HealthSample>) -> Snapshot {
        let newest = self.histories.recent(id, 1).pop();
        let live = self.live.get(id);
        Snapshot {
            stream,
            viewers: self.registry.viewers(id),
            sample: newest.filter(|newest| live.is_some() && Some(*newest) != since),
            live,
        }
    }

    async fn tell(&self, feed: &Feed, touched: bool) {
        let before = Arc::clone(&feed.latest.borrow());
        let started = before.live.is_some() != self.live.get(feed.id).is_some();
        let reread = touched || started || feed.told.lock().read.elapsed() >= REREAD;
        let stream = if reread {
            match self.database.streams().by_id(feed.id).await {
                Ok(stream) => {
                    feed.told.lock().read = Instant::now();
                    stream
                }
                // What was known last goes on being true.
                Err(_) => before.stream.clone(),
            }
        } else {
            before.stream.clone()
        };
        let now = self.look(feed.id, stream, before.sample);
        let mut told = feed.told.lock();
        if now.is_news_after(&before) || told.at.elapsed() >= PACE {
            told.at = Instant::now();
            feed.latest.send_replace(Arc::new(now));
        }
    }
}
