//! Getting a stream's segments: each once, from an edge, served only after it was verified.

mod edge;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use peer::Peer;
use proto::node::StreamWork;
use runtime::backoff::Backoff;
use tokio::sync::watch;
use types::{ByteCount, Epoch, Msn, StreamId};

use self::edge::{Edge, EdgeError};
use crate::{
    verify::{Bad, Expected, ListedDigest, OriginKeys, Verified},
    window::Window,
};

/// At the start, and after falling behind: viewers are six to nine seconds behind, few go back further.
const NEWEST: usize = 8;
/// Between two looks when something is due.
const LOOK: Duration = Duration::from_millis(250);
/// Between two looks at most.
const REST: Duration = Duration::from_secs(2);

/// How a pull goes, for heartbeats and the local page.
#[derive(Debug, Default)]
pub(crate) struct PullState {
    /// Bytes from edges.
    pub(crate) downloaded: AtomicU64,
    /// Segments that were not what the origin signed.
    pub(crate) bad: AtomicU32,
    trouble: Mutex<Option<String>>,
}

impl PullState {
    /// What keeps it from going on, in words.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    fn count_bad(&self) {
        self.bad.fetch_add(1, Ordering::Relaxed);
    }

    fn set_trouble(&self, stream: StreamId, trouble: Option<String>) {
        let mut now = self.trouble.lock();
        if *now != trouble {
            match &trouble {
                Some(trouble) => tracing::warn!(%stream, trouble, "stream is not pulled"),
                None => tracing::info!(%stream, "stream is pulled"),
            }
            *now = trouble;
        }
    }
}

/// One stream's pull.
pub(crate) struct Pull {
    /// The stream.
    pub(crate) stream: StreamId,
    /// What to pull it with; changes while it runs.
    pub(crate) work: watch::Receiver<StreamWork>,
    /// The origins' keys.
    pub(crate) keys: watch::Receiver<OriginKeys>,
    /// For edges.
    pub(crate) http: reqwest::Client,
    /// Where segments go.
    pub(crate) window: Arc<Window>,
    /// Who tells viewers of them.
    pub(crate) peer: Peer,
    /// What others are told.
    pub(crate) state: Arc<PullState>,
}

/// An edge and a session.
type Opened = (String, String);

/// Where a pull is.
#[derive(Default)]
struct Progress {
    /// The edge of the list that works.
    edge: usize,
    /// The edges at which this session is open. A token opens it for some minutes only, so an edge that was out of
    /// reach for a moment is not asked to open it anew.
    opened: BTreeSet<Opened>,
    /// The newest segment that was taken or given up.
    newest: Option<Msn>,
    epoch: Epoch,
    pace: Pace,
}

impl Pull {
    /// Pulls until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut progress = Progress::default();
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        loop {
            let wait = match self.look(&mut progress).await {
                Ok(found) => {
                    backoff.reset();
                    self.state.set_trouble(self.stream, None);
                    progress.pace.wait(found, Instant::now())
                }
                Err(error) => {
                    self.state.set_trouble(self.stream, Some(error.to_string()));
                    progress.edge = progress.edge.wrapping_add(1);
                    backoff.next_delay()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A new token or another edge may be just what was missing.
                changed = self.work.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Looks for new segments once; how many there were.
    async fn look(&mut self, progress: &mut Progress) -> Result<usize, EdgeError> {
        let work = self.work.borrow_and_update().clone();
        let edges = Edge::all(&self.http, &work)?;
        let count = edges.len();
        let Some(edge) = edges.get(progress.edge % count.max(1)) else {
            return Err(EdgeError::NoEdge);
        };
        let here = (edge.base().to_owned(), work.session_id.clone());
        progress.opened.retain(|(_, session)| *session == here.1);
        if !progress.opened.contains(&here) {
            edge.open().await?;
            progress.opened.insert(here.clone());
        }
        let listed = edge.digests(progress.newest).await;
        if matches!(&listed, Err(EdgeError::Refused | EdgeError::Absent)) {
            progress.opened.remove(&here);
        }
        let listed = listed?;
        let expected = self.expected(progress, &listed)?;
        let found = expected.len();
        for expected in expected {
            progress.newest = Some(expected.msn);
            progress.epoch = expected.epoch;
            self.take(&edges, progress.edge % count, &expected).await;
        }
        Ok(found)
    }

    /// What of a list is new and genuine, oldest first.
    fn expected(
        &self,
        progress: &Progress,
        listed: &[ListedDigest],
    ) -> Result<Vec<Expected>, EdgeError> {
        let keys = self.keys.borrow();
        let mut expected = Vec::new();
        let mut epoch = progress.epoch;
        let mut sorted: Vec<&ListedDigest> = listed.iter().collect();
        sorted.sort_by_key(|digest| digest.msn);
        sorted.dedup_by_key(|digest| digest.msn);
        let skipped = sorted.len().saturating_sub(NEWEST);
        for digest in sorted.into_iter().skip(skipped) {
            if progress.newest.is_some_and(|newest| digest.msn <= newest) {
                continue;
            }
            let checked = digest.verify(self.stream, &keys);
            match checked.and_then(|e| (e.epoch >= epoch).then_some(e).ok_or(Bad::OldEpoch)) {
                Ok(found) => {
                    epoch = found.epoch;
                    expected.push(found);
                }
                // Its key is on its way from the coordinator; what is behind it waits too.
                Err(Bad::UnknownKey) if !expected.is_empty() => break,
                Err(bad) => {
                    if bad != Bad::UnknownKey {
                        self.state.count_bad();
                    }
                    if expected.is_empty() {
                        return Err(EdgeError::Bad(bad));
                    }
                    break;
                }
            }
        }
        Ok(expected)
    }

    /// Gets a segment from the first edge that has it as it was signed.
    async fn take(&self, edges: &[Edge<'_>], first: usize, expected: &Expected) {
        let (stream, msn) = (self.stream, expected.msn);
        self.window.loading(stream, msn);
        self.peer.changed(stream).await;
        for index in 0..edges.len() {
            let Some(edge) = edges.get((first + index) % edges.len()) else {
                break;
            };
            match self.fetch(edge, expected).await {
                Ok(segment) => {
                    self.window.put(segment);
                    self.peer.changed(stream).await;
                    return;
                }
                Err(error) => {
                    if matches!(error, EdgeError::Bad(_)) {
                        self.state.count_bad();
                    }
                    tracing::warn!(%stream, %msn, edge = edge.base(), %error, "segment refused");
                }
            }
        }
        self.window.failed(stream, msn);
        self.peer.changed(stream).await;
    }

    async fn fetch(&self, edge: &Edge<'_>, expected: &Expected) -> Result<Verified, EdgeError> {
        let bytes = match edge.segment(expected).await {
            // Longer than what was signed is something else.
            Err(EdgeError::TooLong(_)) => return Err(EdgeError::Bad(Bad::Bytes)),
            bytes => bytes?,
        };
        let length = ByteCount::new(bytes.len() as u64);
        self.state
            .downloaded
            .fetch_add(length.get(), Ordering::Relaxed);
        expected.check(bytes).map_err(EdgeError::Bad)
    }
}

/// How often to look: seldom right after a segment, often when the next one is due.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    between: Duration,
}

impl Pace {
    fn wait(&mut self, found: usize, now: Instant) -> Duration {
        if found == 0 {
            return LOOK;
        }
        if let Some(last) = self.last.replace(now) {
            let each = (now - last) / u32::try_from(found).unwrap_or(u32::MAX);
            self.between = if self.between.is_zero() {
                each
            } else {
                (self.between * 3 + each) / 4
            };
        }
        (self.between / 2).clamp(LOOK, REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_seldom_after_a_segment_and_often_when_the_next_is_due() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        assert_eq!(pace.wait(8, start), LOOK);
        assert_eq!(pace.wait(1, at(2)), Duration::from_secs(1));
        assert_eq!(pace.wait(0, at(3)), LOOK);
        assert_eq!(pace.wait(1, at(4)), Duration::from_secs(1));
        assert_eq!(pace.wait(1, at(60)), REST);
    }
}
