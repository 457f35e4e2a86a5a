//! A stream as it is delivered: its window, its FLV fan-out, its viewers.

use std::{ops::Range, sync::Arc, time::Duration};

use hls::{Flavour, Skip};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, broadcast, watch},
    time::Instant,
};
use types::{ByteCount, MediaTime, SessionId, Slug, StreamId};

use crate::{
    Batch, EpochInfo, Keyframe, Refused, SegmentDigest, WindowEvent,
    access::{self, Access, Full},
    fanout::{Bounds, Fanout},
    rendered::Rendered,
    served::{Served, ServedMinute},
    sessions::Sessions,
    window::{Object, Scope, Window},
};

/// Events that a follower may lag behind before it must start over.
const FOLLOW_CAPACITY: usize = 256;
/// The FLV history behind the current GOP (promise D4).
pub const FLV_BOUNDS: Bounds = Bounds {
    bytes: ByteCount::mib(4),
    time: MediaTime::from_millis(10_000),
};

/// A stream being delivered.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    slug: Slug,
    window: Mutex<Window>,
    /// Counts changes of the window; who waits for one watches it.
    version: watch::Sender<u64>,
    followers: broadcast::Sender<WindowEvent>,
    flv: Fanout<Batch>,
    flv_demand: Notify,
    pub(crate) sessions: Sessions,
    pub(crate) served: Served,
    access: Access,
    used: Mutex<Instant>,
}

impl Stream {
    /// A stream with an empty window.
    pub fn new(id: StreamId, slug: Slug) -> Arc<Self> {
        Arc::new(Self {
            id,
            slug,
            window: Mutex::default(),
            version: watch::Sender::new(0),
            followers: broadcast::Sender::new(FOLLOW_CAPACITY),
            flv: Fanout::new("flv", FLV_BOUNDS),
            flv_demand: Notify::new(),
            sessions: Sessions::default(),
            served: Served::default(),
            access: Access::default(),
            used: Mutex::new(Instant::now()),
        })
    }

    /// Its id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Its name in URLs.
    pub fn slug(&self) -> &Slug {
        &self.slug
    }

    /// Lets the window grow. `Ok(false)`: known already.
    pub fn apply(&self, event: &WindowEvent) -> Result<bool, Refused> {
        let mut window = self.window.lock();
        let changed = window.apply(event)?;
        if changed {
            // Under the lock, so that a follower's snapshot and its events fit together.
            let _ = self.followers.send(event.clone());
        }
        drop(window);
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
        Ok(changed)
    }

    /// The window so far as events, and every event after them.
    pub fn follow(&self) -> (Vec<WindowEvent>, broadcast::Receiver<WindowEvent>) {
        let window = self.window.lock();
        (window.snapshot(), self.followers.subscribe())
    }

    /// The FLV fan-out.
    pub fn flv(&self) -> &Fanout<Batch> {
        &self.flv
    }

    /// Waits until somebody wants FLV.
    pub async fn flv_wanted(&self) {
        while self.flv.readers() == 0 {
            self.flv_demand.notified().await;
        }
    }

    pub(crate) fn demand_flv(&self) {
        self.flv_demand.notify_waiters();
        self.flv_demand.notify_one();
    }

    /// What the current epoch fixes.
    pub fn epoch(&self) -> Option<EpochInfo> {
        self.window.lock().epoch().cloned()
    }

    /// Whether nothing will follow.
    pub fn is_ended(&self) -> bool {
        self.window.lock().is_ended()
    }

    /// The target duration in seconds, or the least there is while it isn't known.
    fn target_duration(&self) -> u32 {
        self.look(|window| window.epoch().map_or(2, |info| info.target_duration))
    }

    /// How long a request may be held: three target durations, as RFC 8216bis advises for blocking reloads.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.target_duration()) * 3)
    }

    /// Viewers now: who polled within three target durations, or is connected.
    pub fn viewers(&self) -> u32 {
        self.sessions.count(self.patience())
    }

    /// How often somebody began to watch it here.
    pub fn sessions_opened(&self) -> u64 {
        self.sessions.total()
    }

    /// What was sent of its segments in the minutes of a time, Unix time in milliseconds: those of the last hours are
    /// known.
    pub fn served(&self, within: &Range<i64>) -> Vec<ServedMinute> {
        self.served.minutes(within)
    }

    /// Sessions that a token opened here within `age`, while the stream is restricted.
    pub fn admitted_within(&self, age: Duration) -> Vec<SessionId> {
        self.access.admitted_within(age)
    }

    /// Says whether only who has a token may watch from now on.
    pub fn set_restricted(&self, restricted: bool) {
        self.access.set_restricted(restricted);
    }

    /// Closes the sessions that are not to be kept, and what is connected without a right to be.
    pub fn review_sessions(&self, keep: impl Fn(SessionId) -> bool) {
        self.access.review(keep);
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Opens a session that a token names, or opens it again.
    pub(crate) fn admit(&self, session: SessionId) -> Result<bool, Full> {
        let patience = access::patience(self.target_duration());
        self.access.admit(session, patience)
    }

    /// Whether the session is open; if so, it stays open for as long again.
    pub(crate) fn renew(&self, session: SessionId) -> bool {
        let patience = access::patience(self.target_duration());
        self.access.renew(session, patience)
    }

    /// What a picture of now can be made from; waits for the first segment, `patience` at most.
    pub async fn keyframe(&self, patience: Duration) -> Option<Keyframe> {
        self.wait_for(patience, |window| window.keyframe()).await
    }

    /// Somebody asked for it.
    pub(crate) fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    /// How long nobody asked for it or was connected.
    pub fn idle(&self) -> Duration {
        if self.viewers() > 0 {
            Duration::ZERO
        } else {
            self.used.lock().elapsed()
        }
    }

    /// Waits until `done` answers something about the window, `patience` at most.
    pub(crate) async fn wait_for<T>(
        &self,
        patience: Duration,
        mut done: impl FnMut(&mut Window) -> Option<T>,
    ) -> Option<T> {
        let mut version = self.version.subscribe();
        let deadline = Instant::now() + patience;
        loop {
            version.borrow_and_update();
            if let Some(answer) = done(&mut self.window.lock()) {
                return Some(answer);
            }
            match tokio::time::timeout_at(deadline, version.changed()).await {
                Ok(Ok(())) => {}
                _ => return None,
            }
        }
    }

    pub(crate) fn render(
        &self,
        flavour: Flavour,
        skip: Option<Skip>,
        scope: Scope,
    ) -> Arc<Rendered> {
        self.window.lock().render(flavour, skip, scope)
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Window) -> T) -> T {
        look(&self.window.lock())
    }

    pub(crate) fn digests(&self, after: Option<types::Msn>) -> Vec<SegmentDigest> {
        self.window.lock().digests(after)
    }

    /// Waits for an announced object, `patience` at most.
    pub(crate) async fn object(
        &self,
        patience: Duration,
        find: impl Fn(&Window) -> Object,
    ) -> Object {
        let found = self.wait_for(patience, |window| match find(window) {
            Object::Announced if !window.is_ended() => None,
            other => Some(other),
        });
        found.await.unwrap_or(Object::Missing)
    }
}
