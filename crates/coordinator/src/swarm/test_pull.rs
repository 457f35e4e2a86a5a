//! Test pulls: a node that a page accuses of wrong bytes is asked for some as a viewer would ask. Only what fails
//! here, against what the origin signed, is held against it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use peer::{Event, LinkId, Options, Peer};
use proto::{
    node::{Offer, connect_response::Message},
    packager::{WatchWindowRequest, origin_client::OriginClient, window_event::Event as Told},
};
use runtime::Shutdown;
use sha2::{Digest, Sha256};
use storage::NewAudit;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};
use types::{Msn, NodeId, SessionId, StreamId};

use super::{Swarm, link::Link, state::now_ms};
use crate::Error;

/// Nodes that wait to be tested; further accusations of others are forgotten.
const MOST: usize = 1000;
/// How long each step of a test may take.
const STEP: Duration = Duration::from_secs(5);
/// Segments fetched in one test.
const SEGMENTS: usize = 2;
/// Nodes tested at once: one that takes its time keeps few others waiting.
const TESTERS: usize = 8;
/// Between two looks at what the origin told.
const LOOK: Duration = Duration::from_millis(100);

/// A node that is to be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Suspicion {
    pub(super) node: NodeId,
    pub(super) stream: StreamId,
    /// What was wrong, as is said.
    pub(super) msn: Msn,
}

/// Nodes that wait, each once.
#[derive(Debug, Default)]
pub(super) struct Suspicions {
    waiting: Mutex<VecDeque<Suspicion>>,
    nodes: Mutex<HashSet<NodeId>>,
    come: Notify,
}

/// What a test found.
enum Outcome {
    /// The bytes are what the origin signed.
    Good,
    /// They are not.
    Wrong { msn: Msn, sha256: [u8; 32] },
    /// It could not be asked.
    Unreachable(&'static str),
}

impl Swarm {
    /// Has a node tested, soon.
    pub(super) fn suspect(&self, suspicion: Suspicion) {
        let suspicions = &self.inner.suspicions;
        let mut waiting = suspicions.waiting.lock();
        if waiting.len() < MOST && suspicions.nodes.lock().insert(suspicion.node) {
            waiting.push_back(suspicion);
            suspicions.come.notify_one();
        }
    }

    /// Tests who is suspected, some at once, in the order in which they were accused; forever.
    pub(crate) async fn test_suspects(self, shutdown: Shutdown) {
        let testers = (0..TESTERS).map(|_| self.test_some(&shutdown));
        futures::future::join_all(testers).await;
    }

    async fn test_some(&self, shutdown: &Shutdown) {
        let bound = Peer::bind(Options::default(), Arc::new(()), shutdown);
        let (peer, mut events) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                tracing::error!(%error, "accused nodes can't be tested");
                return;
            }
        };
        loop {
            let suspicions = &self.inner.suspicions;
            let (next, more) = {
                let mut waiting = suspicions.waiting.lock();
                (waiting.pop_front(), !waiting.is_empty())
            };
            if more {
                suspicions.come.notify_one();
            }
            let Some(suspicion) = next else {
                self.inner.suspicions.come.notified().await;
                continue;
            };
            let outcome = self.test(&peer, &mut events, suspicion).await;
            self.inner.suspicions.nodes.lock().remove(&suspicion.node);
            let told = self.conclude(suspicion, outcome).await;
            if let Err(error) = told {
                tracing::warn!(%error, node_id = %suspicion.node, "a test's outcome can't be kept");
            }
        }
    }

    async fn test(&self, peer: &Peer, events: &mut peer::Events, suspicion: Suspicion) -> Outcome {
        let link = Link {
            session: SessionId::new(),
            node: suspicion.node,
            stream: suspicion.stream,
            from_ms: now_ms(),
        };
        let name = link.seal(&self.inner.keys);
        let Some((name, id)) = name.and_then(|name| Some((name.clone(), LinkId::new(name)?)))
        else {
            return Outcome::Unreachable("no link");
        };
        let outcome = self.ask(peer, events, suspicion, name, id.clone()).await;
        peer.close(id).await;
        outcome
    }

    async fn ask(
        &self,
        peer: &Peer,
        events: &mut peer::Events,
        suspicion: Suspicion,
        name: bytes::Bytes,
        id: LinkId,
    ) -> Outcome {
        let Ok(sdp) = peer.offer(id.clone(), suspicion.stream).await else {
            return Outcome::Unreachable("no offer");
        };
        let (tester, described) = oneshot::channel();
        let number = {
            let mut state = self.inner.state.lock();
            let number = state.number();
            let Some(seat) = state.seats.get_mut(&suspicion.node) else {
                return Outcome::Unreachable("not connected");
            };
            seat.tell(Message::Offer(Offer {
                r#ref: number,
                link: name,
                stream_id: suspicion.stream.to_string(),
                sdp,
            }));
            state.tests.insert(number, (suspicion.node, tester));
            number
        };
        let Ok(Ok(answer)) = timeout(STEP, described).await else {
            self.inner.state.lock().tests.remove(&number);
            return Outcome::Unreachable("no answer");
        };
        if peer.accept(id.clone(), answer).await.is_err() {
            return Outcome::Unreachable("no connection");
        }
        let announced = timeout(STEP * 2, async {
            while let Some(event) = events.recv().await {
                match event {
                    Event::Announced { link, loaded, .. } if link == id && !loaded.is_empty() => {
                        return Some(loaded);
                    }
                    Event::Closed { link, .. } if link == id => return None,
                    _ => {}
                }
            }
            None
        });
        let Ok(Some(loaded)) = announced.await else {
            return Outcome::Unreachable("announces nothing");
        };
        self.compare(peer, suspicion, &id, &loaded).await
    }

    /// Fetches some of what the node says it has and compares that with what the origin signed: only of what it
    /// signed, or a node could announce what never was, and be asked for that.
    async fn compare(
        &self,
        peer: &Peer,
        suspicion: Suspicion,
        id: &LinkId,
        loaded: &[Msn],
    ) -> Outcome {
        let signed = Signed::default();
        let fetched = async {
            let wanted = timeout(STEP, async {
                loop {
                    let wanted = wanted(loaded, suspicion.msn, &signed.lock());
                    if !wanted.is_empty() {
                        return wanted;
                    }
                    tokio::time::sleep(LOOK).await;
                }
            });
            let Ok(wanted) = wanted.await else {
                return Outcome::Unreachable("has nothing that the origin has");
            };
            let mut outcome = Outcome::Unreachable("serves nothing");
            for msn in wanted {
                let Ok(data) = peer.fetch(id.clone(), msn, STEP).await else {
                    continue;
                };
                let sha256 = <[u8; 32]>::from(Sha256::digest(&data));
                if signed
                    .lock()
                    .get(&msn)
                    .is_some_and(|right| *right != sha256)
                {
                    return Outcome::Wrong { msn, sha256 };
                }
                outcome = Outcome::Good;
            }
            outcome
        };
        tokio::select! {
            outcome = fetched => outcome,
            why = self.follow(suspicion.stream, &signed) => Outcome::Unreachable(why),
        }
    }

    /// Learns what the origin signed, for as long as it goes on. Answers why it does not.
    async fn follow(&self, stream: StreamId, signed: &Signed) -> &'static str {
        const AWAY: &str = "the origin does not answer";
        let live = self.inner.live.get(stream);
        let Some(origin) = live.and_then(|live| live.origin) else {
            return AWAY;
        };
        let tokens = &self.inner.settings.service_tokens;
        let Ok(channel) = runtime::grpc::channel(&origin.address, tokens) else {
            return AWAY;
        };
        let mut client =
            OriginClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
        let request = WatchWindowRequest {
            stream_id: stream.to_string(),
        };
        let Ok(Ok(answer)) = timeout(STEP, client.watch_window(request)).await else {
            return AWAY;
        };
        let mut events = answer.into_inner();
        while let Ok(Some(event)) = events.message().await {
            if let Some(Told::SegmentClosed(closed)) = event.event
                && let Some(digest) = closed.digest
                && let Ok(sha256) = digest.sha256.as_ref().try_into()
            {
                signed.lock().insert(Msn::new(closed.msn), sha256);
            }
        }
        AWAY
    }

    async fn conclude(&self, suspicion: Suspicion, outcome: Outcome) -> Result<(), Error> {
        let Suspicion { node, stream, .. } = suspicion;
        let label = match &outcome {
            Outcome::Good => "good",
            Outcome::Wrong { .. } => "wrong",
            Outcome::Unreachable(_) => "unreachable",
        };
        metrics::counter!("streamr_test_pulls_total", "outcome" => label).increment(1);
        let evidence = self.inner.database.evidence();
        match outcome {
            Outcome::Good => {}
            Outcome::Unreachable(why) => {
                tracing::debug!(node_id = %node, why, "an accused node could not be tested");
                let detail = serde_json::json!({ "why": why }).to_string();
                evidence
                    .keep(node, Some(stream), "unreachable", &detail)
                    .await?;
            }
            Outcome::Wrong { msn, sha256 } => {
                tracing::warn!(node_id = %node, stream_id = %stream, %msn, "a node served wrong bytes; it gets no viewers");
                let detail = serde_json::json!({ "msn": msn.get(), "sha256": hex(&sha256) });
                evidence
                    .keep(node, Some(stream), "digest", &detail.to_string())
                    .await?;
                let mut entry = NewAudit::new("node.quarantined");
                entry.subject = Some(format!("node/{node}"));
                entry.detail = Some(detail.to_string());
                let reason = "it served bytes that are not what the origin signed".to_owned();
                let friends = self.inner.database.friends();
                friends.quarantine(node, reason, entry).await?;
                self.friends_changed(node).await?;
            }
        }
        Ok(())
    }
}

/// What the origin signed.
type Signed = Mutex<HashMap<Msn, [u8; 32]>>;

/// What to ask for, of what was signed: what was said to be wrong, if it is still there, and the newest.
fn wanted(loaded: &[Msn], accused: Msn, signed: &HashMap<Msn, [u8; 32]>) -> Vec<Msn> {
    let known = loaded.iter().copied();
    let mut known: Vec<Msn> = known.filter(|msn| signed.contains_key(msn)).collect();
    known.sort_unstable_by_key(|msn| (*msn != accused, std::cmp::Reverse(*msn)));
    known.dedup();
    known.truncate(SEGMENTS);
    known
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a text can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_to_be_wrong_is_asked_for_first() {
        let msns = |numbers: &[u64]| numbers.iter().copied().map(Msn::new).collect::<Vec<_>>();
        let signed: HashMap<Msn, [u8; 32]> = (12..20).map(|n| (Msn::new(n), [0; 32])).collect();
        let loaded = msns(&(10..20).collect::<Vec<_>>());
        let wanted = |loaded: &[Msn], accused| wanted(loaded, Msn::new(accused), &signed);
        assert_eq!(wanted(&loaded, 12), msns(&[12, 19]));
        assert_eq!(wanted(&loaded, 5), msns(&[19, 18]));
        assert!(wanted(&[], 5).is_empty());
        // What never was is not asked for, whatever the node says it has.
        let boast = msns(&[13, 1_000_000_000, u64::MAX]);
        assert_eq!(wanted(&boast, 1_000_000_000), msns(&[13]));
    }
}
