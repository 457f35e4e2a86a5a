//! What nodes are to pull: told whole, whenever it changes and before a token runs out.

use std::time::Duration;

use auth::PlaybackClaims;
use proto::node::{
    HelpedStream, OriginKey, OriginKeys, StreamWork, Work, connect_response::Message,
};
use tokio::time::Instant;
use types::{NodeId, SessionId, StreamId};

use storage::Friend;

use super::{Swarm, state::State};
use crate::{Error, KeyRing, accounts::now, keys::Purpose};

/// A token is good for five minutes; a new one is told before that.
const RENEWED: Duration = Duration::from_secs(240);
/// A node that came has told of its links by then.
const SETTLED: Duration = Duration::from_secs(10);
/// Nodes looked through before others have their turn at the tables.
const SLICE: usize = 500;
/// Origin keys that nodes are told; older origins are long gone.
const MAX_KEYS: usize = 64;

/// The session that a node pulls a stream under: one over all its connections, so that it is revoked whole, also
/// while the node is away. Whoever is invited again has another.
pub(super) fn pull_session(keys: &KeyRing, friend: &Friend) -> SessionId {
    let mut about = [0; 40];
    about[..16].copy_from_slice(friend.node.as_uuid().as_bytes());
    about[16..32].copy_from_slice(friend.stream.as_uuid().as_bytes());
    let joined_ms = (friend.joined_at.unix_timestamp_nanos() / 1_000_000) as i64;
    about[32..].copy_from_slice(&joined_ms.to_be_bytes());
    let hash = keys.hash_secret(Purpose::Pull, &about);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.0[..16]);
    SessionId::from_uuid(uuid::Builder::from_random_bytes(id).into_uuid())
}

/// What a node was told to pull.
#[derive(Debug)]
pub(super) struct Told {
    since: Instant,
    last: Option<(Vec<StreamId>, Instant)>,
}

impl Told {
    /// Nothing yet, to a node that comes now.
    pub(super) fn nothing() -> Self {
        Self {
            since: Instant::now(),
            last: None,
        }
    }

    fn is_due(&self, work: &[StreamId]) -> bool {
        match &self.last {
            // It may pull something from before, for viewers that it has still to tell of.
            None => !work.is_empty() || self.since.elapsed() > SETTLED,
            Some((last, at)) => last != work || (!work.is_empty() && at.elapsed() > RENEWED),
        }
    }
}

impl Swarm {
    /// Tells every node whose work changed. Called often: it costs nothing while nothing changed.
    pub(super) async fn give_work(&self) {
        let edges: Vec<String> = self
            .inner
            .registry
            .edges()
            .into_iter()
            .map(|edge| edge.playback_url)
            .collect();
        let nodes: Vec<NodeId> = self.inner.state.lock().seats.keys().copied().collect();
        for some in nodes.chunks(SLICE) {
            {
                let mut state = self.inner.state.lock();
                for node in some {
                    self.give_one(&mut state, *node, &edges);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Does something with the tables, and sends what follows: a node learns what to pull before it hears of a
    /// viewer of it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.inner.state.lock();
        let answer = act(&mut state);
        for (node, message) in std::mem::take(&mut state.outgoing) {
            self.give_work_to(&mut state, node);
            if let Some(seat) = state.seats.get_mut(&node) {
                seat.tell(message);
            }
        }
        answer
    }

    /// Tells one node its work, if that changed.
    pub(super) fn give_work_to(&self, state: &mut State, node: NodeId) {
        let edges: Vec<String> = self
            .inner
            .registry
            .edges()
            .into_iter()
            .map(|edge| edge.playback_url)
            .collect();
        self.give_one(state, node, &edges);
    }

    fn give_one(&self, state: &mut State, node: NodeId, edges: &[String]) {
        let State { seats, streams, .. } = state;
        let Some(seat) = seats.get_mut(&node) else {
            return;
        };
        let live = |stream: &StreamId| streams.get(stream).is_some_and(|facts| facts.live);
        let work = seat.work().into_iter();
        let mut work: Vec<StreamId> = work
            .filter(|stream| live(stream) && seat.helps(*stream))
            .collect();
        work.sort_unstable();
        if !seat.told.is_due(&work) {
            return;
        }
        let mut told = Vec::with_capacity(work.len());
        for stream in &work {
            let Some(session) = seat.streams.get(stream).map(|helped| helped.pull) else {
                continue;
            };
            let token = self.inner.signing.sign_playback(PlaybackClaims {
                session,
                stream: *stream,
                link: None,
                receipt_key: None,
                node: Some(node),
                issued_at: now(),
            });
            let (Ok(token), Some(facts)) = (token, streams.get(stream)) else {
                continue;
            };
            let edges = if edges.is_empty() {
                vec![seat.playback.clone()]
            } else {
                edges.to_vec()
            };
            told.push(StreamWork {
                stream: Some(HelpedStream {
                    stream_id: stream.to_string(),
                    slug: facts.slug.clone(),
                    title: facts.title.clone(),
                    streamer: facts.streamer.clone(),
                }),
                edges,
                token: token.expose().clone(),
                session_id: session.to_string(),
            });
        }
        seat.told.last = Some((work, Instant::now()));
        seat.tell(Message::Work(Work { streams: told }));
    }

    /// What digests are signed with, for a node that connects or an origin that is new.
    pub(super) async fn origin_keys(&self, streams: &[StreamId]) -> Result<OriginKeys, Error> {
        let mut known = self.inner.database.origins().keys().await?;
        let old = known.len().saturating_sub(MAX_KEYS);
        known.drain(..old);
        let keys = streams.iter().flat_map(|stream| {
            known.iter().map(|key| OriginKey {
                stream_id: stream.to_string(),
                key_id: key.key_id.clone(),
                public_key: key.public_key.to_vec().into(),
            })
        });
        Ok(OriginKeys {
            keys: keys.collect(),
        })
    }

    /// Names the key of the origin that came last.
    pub(super) async fn newest_key(&self) -> Result<Option<String>, Error> {
        let known = self.inner.database.origins().keys().await?;
        Ok(known.into_iter().next_back().map(|key| key.key_id))
    }

    /// An origin may be new: every node is told the keys again.
    pub(crate) async fn tell_origin_keys(&self) -> Result<(), Error> {
        let seats: Vec<(NodeId, Vec<StreamId>)> = {
            let state = self.inner.state.lock();
            let seats = state.seats.values();
            seats
                .map(|seat| (seat.node, seat.streams.keys().copied().collect()))
                .collect()
        };
        for (node, streams) in seats {
            let keys = self.origin_keys(&streams).await?;
            if let Some(seat) = self.inner.state.lock().seats.get_mut(&node) {
                seat.tell(Message::OriginKeys(keys));
            }
        }
        Ok(())
    }
}
