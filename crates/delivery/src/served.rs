//! What an edge sent of a stream's segments, parts and FLV tags, to viewers and to nodes, by the minute: payload as it was
//! handed to the connection. What was cut short counts as far as it went, and is told apart.

use std::{
    collections::{HashSet, VecDeque},
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use types::{ByteCount, SessionId};

/// Handed over at once; what a connection that breaks had not asked for yet is not counted.
const CHUNK: usize = 256 * 1024;
/// Minutes remembered: six hours in which no coordinator may hear of them.
const MINUTES: usize = 360;
/// Pull sessions of nodes remembered.
const MAX_NODES: usize = 10_000;

/// Who gets something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Viewer,
    Node,
}

/// One minute of what was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServedMinute {
    /// When it began, Unix time in milliseconds.
    pub began_ms: i64,
    /// To viewers.
    pub to_viewers: ByteCount,
    /// To friends' nodes.
    pub to_nodes: ByteCount,
}

#[derive(Debug, Default)]
struct Counts {
    minutes: VecDeque<ServedMinute>,
    nodes: HashSet<SessionId>,
}

/// What was sent of one stream. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served(Arc<Mutex<Counts>>);

fn this_minute() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs().cast_signed());
    (seconds - seconds % 60) * 1000
}

impl Served {
    /// This session is a node's: it is no viewer, and what it gets is told apart.
    pub(crate) fn note_node(&self, session: SessionId) {
        let mut counts = self.0.lock();
        if counts.nodes.len() < MAX_NODES {
            counts.nodes.insert(session);
        }
    }

    /// Who a session is.
    pub(crate) fn who(&self, session: SessionId) -> To {
        if self.0.lock().nodes.contains(&session) {
            To::Node
        } else {
            To::Viewer
        }
    }

    /// So much was handed over.
    pub(crate) fn add(&self, to: To, bytes: usize) {
        let began_ms = this_minute();
        let mut counts = self.0.lock();
        let current = counts.minutes.back().map(|minute| minute.began_ms);
        if current.is_none_or(|current| current < began_ms) {
            if counts.minutes.len() == MINUTES {
                counts.minutes.pop_front();
            }
            counts.minutes.push_back(ServedMinute {
                began_ms,
                ..ServedMinute::default()
            });
        }
        if let Some(minute) = counts.minutes.back_mut() {
            let sum = match to {
                To::Viewer => &mut minute.to_viewers,
                To::Node => &mut minute.to_nodes,
            };
            *sum = sum.saturating_add(bytes as u64);
        }
    }

    /// The minutes of which something lies within, Unix time in milliseconds.
    pub(crate) fn minutes(&self, within: &Range<i64>) -> Vec<ServedMinute> {
        let counts = self.0.lock();
        let minutes = counts.minutes.iter().copied();
        minutes
            .filter(|minute| {
                minute.began_ms < within.end
                    && minute.began_ms.saturating_add(60_000) > within.start
            })
            .collect()
    }

    /// A body that is counted as it is handed over.
    pub(crate) fn body(&self, data: Bytes, to: To) -> axum::body::Body {
        axum::body::Body::new(Counted {
            whole: data.len(),
            left: data,
            to,
            served: self.clone(),
        })
    }
}

struct Counted {
    whole: usize,
    left: Bytes,
    to: To,
    served: Served,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(CHUNK);
        let chunk = self.left.split_to(length);
        self.served.add(self.to, length);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.left.is_empty() && self.left.len() < self.whole {
            let sent = (self.whole - self.left.len()) as u64;
            metrics::counter!("streamr_segment_bytes_aborted_total").increment(sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_is_handed_over_is_counted() {
        let (served, node) = (Served::default(), SessionId::new());
        served.note_node(node);
        assert_eq!(served.who(node), To::Node);
        assert_eq!(served.who(SessionId::new()), To::Viewer);
        let data = Bytes::from(vec![7; CHUNK * 2 + 5]);
        let body = served.body(data.clone(), To::Viewer);
        assert_eq!(body.size_hint().exact(), Some(data.len() as u64));
        assert_eq!(body.collect().await.unwrap().to_bytes(), data);
        let mut cut = served.body(data.clone(), To::Node);
        cut.frame().await.unwrap().unwrap();
        drop(cut);
        // Asked for its head alone.
        drop(served.body(data.clone(), To::Viewer));
        assert!(served.minutes(&(0..1)).is_empty());
        assert!(served.minutes(&(i64::MAX - 1..i64::MAX)).is_empty());
        let total = served
            .minutes(&(0..i64::MAX))
            .iter()
            .fold((0, 0), |sum, minute| {
                let (viewers, nodes) = (minute.to_viewers.get(), minute.to_nodes.get());
                (sum.0 + viewers, sum.1 + nodes)
            });
        assert_eq!(total, (data.len() as u64, CHUNK as u64));
    }
}
