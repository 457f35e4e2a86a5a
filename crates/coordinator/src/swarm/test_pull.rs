//! Test pulls: a node that a page accuses of wrong bytes is asked for some as a viewer would ask. Only what fails
//! here, against what the origin signed, is held against it.

use std::{collections::HashSet, sync::Arc, time::Duration};

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
    waiting: Mutex<Vec<Suspicion>>,
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
            waiting.push(suspicion);
            suspicions.come.notify_one();
        }
    }

    /// Tests who is suspected, one after the other, forever.
    pub(crate) async fn test_suspects(self, shutdown: Shutdown) {
        let bound = Peer::bind(Options::default(), Arc::new(()), &shutdown);
        let (peer, mut events) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                tracing::error!(%error, "accused nodes can't be tested");
                return;
            }
        };
        loop {
            let next = self.inner.suspicions.waiting.lock().pop();
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
        self.compare(peer, suspicion, &id, wanted(loaded, suspicion.msn))
            .await
    }

    async fn compare(
        &self,
        peer: &Peer,
        suspicion: Suspicion,
        id: &LinkId,
        wanted: Vec<Msn>,
    ) -> Outcome {
        let mut fetched = Vec::new();
        for msn in wanted {
            if let Ok(data) = peer.fetch(id.clone(), msn, STEP).await {
                fetched.push((msn, <[u8; 32]>::from(Sha256::digest(&data))));
            }
        }
        if fetched.is_empty() {
            return Outcome::Unreachable("serves nothing");
        }
        let numbers: HashSet<u64> = fetched.iter().map(|(msn, _)| msn.get()).collect();
        let Ok(Ok(signed)) = timeout(STEP * 2, self.signed(suspicion.stream, &numbers)).await
        else {
            return Outcome::Unreachable("the origin does not answer");
        };
        for (msn, sha256) in fetched {
            let right = signed.iter().find(|(of, _)| *of == msn.get());
            if let Some((_, right)) = right
                && right.as_ref() != sha256.as_slice()
            {
                return Outcome::Wrong { msn, sha256 };
            }
        }
        Outcome::Good
    }

    /// What the origin signed of these segments.
    async fn signed(
        &self,
        stream: StreamId,
        wanted: &HashSet<u64>,
    ) -> Result<Vec<(u64, bytes::Bytes)>, Error> {
        let live = self.inner.live.get(stream).ok_or(Error::NotLive(stream))?;
        let origin = live.origin.ok_or(Error::NotLive(stream))?;
        let tokens = &self.inner.settings.service_tokens;
        let channel = runtime::grpc::channel(&origin.address, tokens)
            .map_err(|_| Error::TooSlow("the origin"))?;
        let mut client =
            OriginClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
        let request = WatchWindowRequest {
            stream_id: stream.to_string(),
        };
        let answer = client.watch_window(request).await;
        let mut events = answer
            .map_err(|_| Error::TooSlow("the origin"))?
            .into_inner();
        let mut found = Vec::new();
        while let Ok(Some(event)) = events.message().await {
            if let Some(Told::SegmentClosed(closed)) = event.event
                && wanted.contains(&closed.msn)
                && let Some(digest) = closed.digest
            {
                found.push((closed.msn, digest.sha256));
                if found.len() == wanted.len() {
                    break;
                }
            }
        }
        Ok(found)
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

/// What to ask for: what was said to be wrong, if it is still there, and the newest.
fn wanted(mut loaded: Vec<Msn>, accused: Msn) -> Vec<Msn> {
    loaded.sort_unstable();
    let mut wanted: Vec<Msn> = loaded
        .iter()
        .copied()
        .filter(|msn| *msn == accused)
        .collect();
    for msn in loaded.into_iter().rev() {
        if wanted.len() < SEGMENTS && !wanted.contains(&msn) {
            wanted.push(msn);
        }
    }
    wanted
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
        let loaded = || (10..20).map(Msn::new).collect::<Vec<_>>();
        assert_eq!(wanted(loaded(), Msn::new(12)), [Msn::new(12), Msn::new(19)]);
        assert_eq!(wanted(loaded(), Msn::new(5)), [Msn::new(19), Msn::new(18)]);
        assert!(wanted(Vec::new(), Msn::new(5)).is_empty());
    }
}
