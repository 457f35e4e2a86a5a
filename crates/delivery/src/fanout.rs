//! One writer, many readers, nobody waits: a ring that readers follow at their own pace.
//!
//! An entry is kept once, whoever reads it. The ring holds the current GOP, so that a reader starts at
//! once on a keyframe, and a bounded history behind it. A reader that falls out of the history skips to
//! the newest keyframe; the writer never waits and other readers never notice.
//!
//! ```text
//!  evicted │ history (≤ bytes, time) │ current GOP
//!  ────────┼────────────P────P───────┼K────P────P────P▶ writer
//!    slow reader: skips to K              ▲ others
//! ```

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;
use types::{ByteCount, MediaTime};

/// How much the ring keeps behind the current GOP.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In bytes.
    pub bytes: ByteCount,
    /// In media time.
    pub time: MediaTime,
}

/// A GOP may outgrow the bounds by this factor; one that is larger still is not kept for joining.
const GOP_FACTOR: usize = 4;

/// Something to be passed on.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// What.
    pub value: T,
    /// Its size.
    pub size: ByteCount,
    /// Whether a reader can start here.
    pub join: bool,
    /// Its decode time.
    pub time: MediaTime,
}

/// What a reader gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<T> {
    /// What every reader needs before its first entry, and again when it changed while skipping.
    Preamble(Vec<T>),
    /// The next entry.
    Entry(T),
    /// Entries were dropped for this reader; the next one can be joined at.
    Skipped,
    /// There will be no more.
    Closed,
}

#[derive(Debug)]
struct State<T> {
    entries: VecDeque<Entry<T>>,
    /// Number of the oldest entry kept.
    first: u64,
    /// Number of the newest entry that a reader can start at.
    join: Option<u64>,
    bytes: usize,
    preamble: Vec<T>,
    preamble_version: u64,
    closed: bool,
}

/// The ring, and the writer's end. Cheap to clone.
#[derive(Debug)]
pub struct Fanout<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    name: &'static str,
    bounds: Bounds,
    state: Mutex<State<T>>,
    /// Number of the entry to be written next.
    written: watch::Sender<u64>,
}

impl<T> Clone for Fanout<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T: Clone> Fanout<T> {
    /// An empty ring; `name` labels its metrics.
    pub fn new(name: &'static str, bounds: Bounds) -> Self {
        let state = State {
            entries: VecDeque::new(),
            first: 0,
            join: None,
            bytes: 0,
            preamble: Vec::new(),
            preamble_version: 0,
            closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                name,
                bounds,
                state: Mutex::new(state),
                written: watch::Sender::new(0),
            }),
        }
    }

    /// Sets what readers need first. Who joins later starts behind this point.
    pub fn set_preamble(&self, preamble: Vec<T>) {
        let mut state = self.shared.state.lock();
        state.preamble = preamble;
        state.preamble_version += 1;
        state.join = None;
    }

    /// Adds an entry.
    pub fn push(&self, entry: Entry<T>) {
        let next = {
            let mut state = self.shared.state.lock();
            let number = state.first + state.entries.len() as u64;
            if entry.join {
                state.join = Some(number);
            }
            state.bytes += entry.size.as_usize();
            state.entries.push_back(entry);
            state.evict(self.shared.bounds);
            number + 1
        };
        self.shared.written.send_replace(next);
    }

    /// Nothing will follow.
    pub fn close(&self) {
        self.shared.state.lock().closed = true;
        // Wakes readers, whatever the number.
        self.shared.written.send_modify(|_| {});
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.shared.written.receiver_count()
    }

    /// A reader that starts with the preamble and the newest keyframe, or the next one to come.
    pub fn subscribe(&self) -> Subscriber<T> {
        let state = self.shared.state.lock();
        let end = state.first + state.entries.len() as u64;
        Subscriber {
            cursor: state.join.unwrap_or(end),
            waits_for_join: state.join.is_none(),
            preamble_seen: None,
            written: self.shared.written.subscribe(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> State<T> {
    /// Drops what is too old; the current GOP stays, unless it alone is far beyond the bounds.
    fn evict(&mut self, bounds: Bounds) {
        let limit = bounds.bytes.as_usize();
        while let (Some(oldest), Some(newest)) = (self.entries.front(), self.entries.back()) {
            let span = newest.time.saturating_sub(oldest.time);
            if self.bytes <= limit && span <= bounds.time {
                return;
            }
            let in_gop = self.join.is_some_and(|join| self.first >= join);
            if in_gop {
                if self.bytes <= limit.saturating_mul(GOP_FACTOR) {
                    return;
                }
                self.join = None;
            }
            let size = oldest.size.as_usize();
            self.bytes = self.bytes.saturating_sub(size);
            self.entries.pop_front();
            self.first += 1;
        }
    }
}

/// A reader's place in the ring.
#[derive(Debug)]
pub struct Subscriber<T> {
    cursor: u64,
    waits_for_join: bool,
    preamble_seen: Option<u64>,
    written: watch::Receiver<u64>,
    shared: Arc<Shared<T>>,
}

impl<T: Clone> Subscriber<T> {
    /// What is next, if it is there already.
    pub fn try_next(&mut self) -> Option<Next<T>> {
        let state = self.shared.state.lock();
        if self.cursor < state.first {
            let end = state.first + state.entries.len() as u64;
            self.waits_for_join = state.join.is_none();
            self.cursor = state.join.unwrap_or(end);
            if self.preamble_seen != Some(state.preamble_version) {
                self.preamble_seen = None;
            }
            drop(state);
            metrics::counter!("streamr_fanout_skips_total", "queue" => self.shared.name)
                .increment(1);
            tracing::debug!(
                queue = self.shared.name,
                "a slow reader goes on at a keyframe"
            );
            return Some(Next::Skipped);
        }
        loop {
            let Some(entry) = usize::try_from(self.cursor - state.first)
                .ok()
                .and_then(|at| state.entries.get(at))
            else {
                return state.closed.then_some(Next::Closed);
            };
            if self.waits_for_join && !entry.join {
                self.cursor += 1;
                continue;
            }
            if self.preamble_seen.is_none() {
                self.preamble_seen = Some(state.preamble_version);
                return Some(Next::Preamble(state.preamble.clone()));
            }
            self.waits_for_join = false;
            self.cursor += 1;
            return Some(Next::Entry(entry.value.clone()));
        }
    }

    /// What is next, as soon as it is there. Cancel safe.
    pub async fn next(&mut self) -> Next<T> {
        loop {
            // Marked before looking, so that an entry written in between still wakes us.
            self.written.borrow_and_update();
            if let Some(next) = self.try_next() {
                return next;
            }
            if self.written.changed().await.is_err() {
                return self.try_next().unwrap_or(Next::Closed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Fanout<u32> {
        let bounds = Bounds {
            bytes: ByteCount::new(10),
            time: MediaTime::from_millis(1000),
        };
        Fanout::new("test", bounds)
    }

    fn entry(value: u32, join: bool) -> Entry<u32> {
        Entry {
            value,
            size: ByteCount::new(1),
            join,
            time: MediaTime::from_millis(i64::from(value)),
        }
    }

    fn drain(subscriber: &mut Subscriber<u32>) -> Vec<Next<u32>> {
        std::iter::from_fn(|| subscriber.try_next().filter(|next| *next != Next::Closed)).collect()
    }

    #[test]
    fn a_late_joiner_starts_at_the_newest_keyframe() {
        let ring = ring();
        ring.set_preamble(vec![100]);
        for value in 0..6 {
            ring.push(entry(value, value % 4 == 0));
        }
        let mut late = ring.subscribe();
        assert_eq!(
            drain(&mut late),
            [Next::Preamble(vec![100]), Next::Entry(4), Next::Entry(5)]
        );
    }

    #[test]
    fn an_early_joiner_waits_for_a_keyframe() {
        let ring = ring();
        let mut early = ring.subscribe();
        ring.push(entry(0, false));
        assert!(drain(&mut early).is_empty());
        ring.push(entry(1, true));
        assert_eq!(drain(&mut early), [Next::Preamble(vec![]), Next::Entry(1)]);
    }

    #[test]
    fn a_slow_reader_skips_to_a_keyframe_and_others_miss_nothing() {
        let ring = ring();
        ring.push(entry(0, true));
        let (mut slow, mut quick) = (ring.subscribe(), ring.subscribe());
        assert_eq!(drain(&mut slow).len(), 2);
        let mut seen = drain(&mut quick);
        for value in 1..40 {
            ring.push(entry(value, value % 8 == 0));
            seen.extend(drain(&mut quick));
        }
        assert_eq!(seen.len(), 41, "preamble and 40 entries");
        assert_eq!(slow.try_next(), Some(Next::Skipped));
        assert_eq!(slow.try_next(), Some(Next::Entry(32)));
    }

    #[test]
    fn the_ring_is_bounded_even_by_an_endless_gop() {
        let ring = ring();
        ring.push(entry(0, true));
        for value in 1..1000 {
            ring.push(entry(value, false));
        }
        assert!(ring.shared.state.lock().entries.len() <= 11 * GOP_FACTOR);
        assert!(
            drain(&mut ring.subscribe()).is_empty(),
            "nothing to join at until the next keyframe"
        );
    }

    #[test]
    fn a_changed_preamble_reaches_who_skipped_over_it() {
        let ring = ring();
        ring.push(entry(0, true));
        let mut slow = ring.subscribe();
        drain(&mut slow);
        ring.set_preamble(vec![7]);
        for value in 1..40 {
            ring.push(entry(value, value % 8 == 0));
        }
        let seen = drain(&mut slow);
        assert_eq!(
            seen[..3],
            [Next::Skipped, Next::Preamble(vec![7]), Next::Entry(32)]
        );
    }

    #[tokio::test]
    async fn readers_wake_and_see_the_end() {
        let ring = ring();
        let mut reader = ring.subscribe();
        let task = tokio::spawn(async move {
            let first = (reader.next().await, reader.next().await);
            (first, reader.next().await)
        });
        tokio::task::yield_now().await;
        ring.push(entry(1, true));
        tokio::task::yield_now().await;
        ring.close();
        assert_eq!(
            task.await.unwrap(),
            ((Next::Preamble(vec![]), Next::Entry(1)), Next::Closed)
        );
    }
}
