//! What is live now, as ingests and origins report it, and who wants to know.
//!
//! Owns the in-memory view and its watchers, and what else every service must know at once: which flags
//! are off, which playback sessions were revoked, what playback tokens are verified with. Pure of I/O: the
//! lifecycle in the database follows it (see `lifecycle`).

use std::{collections::HashMap, time::Duration};

use auth::PublicKey;
use parking_lot::Mutex;
use proto::{
    coordinator::{Edge, PublishState, StreamHealth, WatchResponse, watch_response::Event},
    cut::Spared,
};
use storage::Seen;
use tokio::{sync::broadcast, time::Instant};
use types::{Epoch, Flag, InstanceId, PublishId, SessionId, Slug, StreamId};

/// Revoked sessions of one stream that watchers are told of; the coordinator gives out no more.
const MAX_REVOKED: usize = 10_000;
/// Events a watcher may lag behind before it must take a new snapshot.
const WATCH_CAPACITY: usize = 4096;
/// A publisher that sent nothing for so long is dead when another comes (design §2).
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// The origin that packages a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OriginRef {
    pub(crate) instance: InstanceId,
    pub(crate) address: String,
    pub(crate) epoch: Epoch,
}

/// A live stream.
#[derive(Debug, Clone)]
pub(crate) struct LiveStream {
    pub(crate) id: StreamId,
    pub(crate) slug: Slug,
    pub(crate) ingest: InstanceId,
    pub(crate) ingest_address: String,
    pub(crate) publish: PublishId,
    pub(crate) state: PublishState,
    pub(crate) health: StreamHealth,
    pub(crate) reported: Instant,
    pub(crate) origin: Option<OriginRef>,
    /// Played with a playback token only.
    pub(crate) restricted: bool,
    /// The most viewers at once.
    pub(crate) peak_viewers: u32,
    /// Playback sessions opened, by instance: one that is gone still counts.
    pub(crate) sessions: HashMap<InstanceId, u64>,
    /// The `traceparent` of what put it on air.
    pub(crate) trace_parent: String,
}

impl LiveStream {
    /// What the broadcast saw so far.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            peak_viewers: self.peak_viewers,
            sessions: self.sessions.values().sum(),
        }
    }

    /// Whether its publisher is alive, as far as was reported.
    pub(crate) fn is_publishing(&self) -> bool {
        let silent =
            Duration::from_millis(u64::from(self.health.silent_ms)) + self.reported.elapsed();
        self.state == PublishState::Live && silent < SILENCE
    }

    fn event(&self) -> Event {
        let origin = self.origin.as_ref();
        Event::Stream(proto::coordinator::StreamInfo {
            stream_id: self.id.to_string(),
            slug: self.slug.to_string(),
            ingest_address: self.ingest_address.clone(),
            origin_address: origin
                .map(|origin| origin.address.clone())
                .unwrap_or_default(),
            origin_epoch: origin.map_or(0, |origin| origin.epoch.get()),
            origin_instance_id: origin
                .map(|origin| origin.instance.to_string())
                .unwrap_or_default(),
            restricted: self.restricted,
            trace_parent: self.trace_parent.clone(),
        })
    }
}

/// What a report changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The stream was not live before.
    Started,
    /// It is no longer.
    Ended,
    /// Nothing that the lifecycle must know.
    None,
}

#[derive(Default)]
struct State {
    streams: HashMap<StreamId, LiveStream>,
    /// Of live streams.
    revoked: HashMap<StreamId, Vec<SessionId>>,
    flags_off: Vec<Flag>,
    playback_keys: Vec<PublicKey>,
    edges: Vec<Edge>,
}

impl State {
    fn flags(&self) -> Event {
        let off = self.flags_off.iter().map(ToString::to_string).collect();
        Event::Flags(proto::coordinator::Flags { off })
    }

    fn edges(&self) -> Event {
        let edges = self.edges.clone();
        Event::Edges(proto::coordinator::Edges { edges })
    }

    fn keys(&self) -> Event {
        let keys = self.playback_keys.iter();
        Event::PlaybackKeys(proto::coordinator::PlaybackKeys {
            keys: keys
                .map(|key| proto::coordinator::PlaybackKey {
                    key_id: key.id().0,
                    public_key: key.0.to_vec().into(),
                })
                .collect(),
        })
    }
}

fn session_revoked(stream: StreamId, session: SessionId) -> Event {
    Event::SessionRevoked(proto::coordinator::SessionRevoked {
        stream_id: stream.to_string(),
        session_id: session.to_string(),
    })
}

/// All live streams.
pub(crate) struct Live {
    state: Mutex<State>,
    watchers: broadcast::Sender<WatchResponse>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            watchers: broadcast::Sender::new(WATCH_CAPACITY),
        }
    }
}

impl Live {
    /// A snapshot, and everything after it.
    pub(crate) fn watch(&self) -> (Vec<WatchResponse>, broadcast::Receiver<WatchResponse>) {
        let state = self.state.lock();
        let mut events = vec![state.keys(), state.flags(), state.edges()];
        events.extend(state.streams.values().map(LiveStream::event));
        for (stream, sessions) in &state.revoked {
            events.extend(sessions.iter().map(|id| session_revoked(*stream, *id)));
        }
        events.push(Event::SnapshotEnd(proto::coordinator::SnapshotEnd {}));
        let snapshot = events
            .into_iter()
            .map(|event| WatchResponse { event: Some(event) });
        (snapshot.collect(), self.watchers.subscribe())
    }

    /// Says which flags are off; watchers hear it when that is another set.
    pub(crate) fn set_flags_off(&self, off: Vec<Flag>) {
        let mut state = self.state.lock();
        if state.flags_off != off {
            state.flags_off = off;
            self.announce(state.flags());
        }
    }

    /// Says what playback tokens are verified with; watchers hear it when that is another set.
    pub(crate) fn set_playback_keys(&self, keys: Vec<PublicKey>) {
        let mut state = self.state.lock();
        if state.playback_keys != keys {
            state.playback_keys = keys;
            self.announce(state.keys());
        }
    }

    /// Says which edges have a name of their own; watchers hear it when those are others.
    pub(crate) fn set_edges(&self, edges: Vec<Edge>) {
        let mut state = self.state.lock();
        if state.edges != edges {
            state.edges = edges;
            self.announce(state.edges());
        }
    }

    /// Tells edges and ingests to close what a session opened.
    pub(crate) fn revoke_session(&self, stream: StreamId, session: SessionId) {
        let mut state = self.state.lock();
        if !state.streams.contains_key(&stream) {
            return;
        }
        let revoked = state.revoked.entry(stream).or_default();
        if revoked.contains(&session) {
            return;
        }
        if revoked.len() < MAX_REVOKED {
            revoked.push(session);
        }
        self.announce(session_revoked(stream, session));
    }

    /// Whether a feature is switched off.
    pub(crate) fn is_off(&self, flag: Flag) -> bool {
        self.state.lock().flags_off.contains(&flag)
    }

    /// Whether what a session opened was closed.
    pub(crate) fn is_revoked(&self, stream: StreamId, session: SessionId) -> bool {
        let state = self.state.lock();
        let revoked = state.revoked.get(&stream);
        revoked.is_some_and(|revoked| revoked.contains(&session))
    }

    /// Says whether a stream plays with a token only.
    pub(crate) fn set_restricted(&self, id: StreamId, restricted: bool) {
        let mut state = self.state.lock();
        if let Some(stream) = state.streams.get_mut(&id)
            && stream.restricted != restricted
        {
            stream.restricted = restricted;
            let event = stream.event();
            self.announce(event);
        }
    }

    /// Ends a stream at once: its publisher is cut off, and there is no grace period.
    pub(crate) fn stop(&self, id: StreamId, reason: &str) -> Option<LiveStream> {
        let mut state = self.state.lock();
        state.revoked.remove(&id);
        let stopped = state.streams.remove(&id);
        self.announce(Event::PublishRevoked(proto::coordinator::PublishRevoked {
            stream_id: id.to_string(),
            reason: reason.to_owned(),
            except_publish_id: String::new(),
            end: true,
            spares_after_us: 0,
        }));
        if let Some(stream) = &stopped {
            self.announce_gone(id, &stream.slug);
        }
        stopped
    }

    /// Remembers the most viewers at once, and how many sessions each instance opened.
    pub(crate) fn seen_by(&self, id: StreamId, viewers: u32, sessions: Vec<(InstanceId, u64)>) {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(&id) else {
            return;
        };
        stream.peak_viewers = stream.peak_viewers.max(viewers);
        for (instance, count) in sessions {
            let known = stream.sessions.entry(instance).or_default();
            *known = count.max(*known);
        }
    }

    /// This process stood still for so long: what it did not hear meanwhile says nothing.
    pub(crate) fn forgive(&self, gap: Duration) {
        for stream in self.state.lock().streams.values_mut() {
            stream.reported += gap;
        }
    }

    fn announce(&self, event: Event) {
        // No watcher is no error: services come and go.
        let _ = self.watchers.send(WatchResponse { event: Some(event) });
    }

    /// Tells ingests to cut a stream's publishers off, but for whom is spared. Who that is the ingest knows best: of
    /// one that came a moment ago nothing was heard here yet.
    pub(crate) fn revoke(&self, stream: StreamId, reason: &str, spared: Spared) {
        let (one, after_us) = match spared {
            Spared::Nobody => (String::new(), 0),
            Spared::One(publish) => (publish.to_string(), 0),
            Spared::After(at_us) => (String::new(), at_us),
        };
        self.announce(Event::PublishRevoked(proto::coordinator::PublishRevoked {
            stream_id: stream.to_string(),
            reason: reason.to_owned(),
            except_publish_id: one,
            end: false,
            spares_after_us: after_us,
        }));
    }

    /// The live stream with this id.
    pub(crate) fn get(&self, id: StreamId) -> Option<LiveStream> {
        self.state.lock().streams.get(&id).cloned()
    }

    /// Takes an ingest's report of one stream.
    pub(crate) fn report(&self, report: LiveStream) -> Change {
        let mut state = self.state.lock();
        let streams = &mut state.streams;
        let known = streams.get_mut(&report.id);
        // A publisher that came later (ids are ordered by time) replaces one that came before, whichever
        // ingest speaks last, and however late an end is heard of.
        if let Some(newer) = known.as_ref().map(|known| (known.publish, known.ingest))
            && newer.0 > report.publish
            && (newer.1 != report.ingest || report.state == PublishState::Ended)
        {
            drop(state);
            if report.state == PublishState::Live {
                self.revoke(report.id, proto::cut::REPLACED, Spared::One(newer.0));
            }
            return Change::None;
        }
        if report.state == PublishState::Ended {
            if streams.remove(&report.id).is_none() {
                return Change::None;
            }
            state.revoked.remove(&report.id);
            self.announce_gone(report.id, &report.slug);
            return Change::Ended;
        }
        match known {
            Some(known) => {
                // An ingest whose heartbeat was missed has not moved.
                let ingest_address = match report.ingest_address.as_str() {
                    "" => known.ingest_address.clone(),
                    told => told.to_owned(),
                };
                let moved = known.ingest_address != ingest_address;
                *known = LiveStream {
                    origin: known.origin.take(),
                    restricted: known.restricted,
                    peak_viewers: known.peak_viewers,
                    sessions: std::mem::take(&mut known.sessions),
                    trace_parent: std::mem::take(&mut known.trace_parent),
                    ingest_address,
                    ..report
                };
                if moved {
                    self.announce(known.event());
                }
                Change::None
            }
            None => {
                self.announce(report.event());
                streams.insert(report.id, report);
                Change::Started
            }
        }
    }

    fn announce_gone(&self, id: StreamId, slug: &Slug) {
        self.announce(Event::Gone(proto::coordinator::StreamGone {
            stream_id: id.to_string(),
            slug: slug.to_string(),
        }));
    }

    /// Ends streams whose ingest reported nothing for `patience`, unless another coordinator knows that it
    /// `is_held`. Answers which.
    pub(crate) fn expire(
        &self,
        patience: Duration,
        is_held: impl Fn(StreamId) -> bool,
    ) -> Vec<LiveStream> {
        let mut state = self.state.lock();
        let gone: Vec<_> = state
            .streams
            .values()
            .filter(|stream| stream.reported.elapsed() > patience && !is_held(stream.id))
            .cloned()
            .collect();
        for stream in &gone {
            state.streams.remove(&stream.id);
            state.revoked.remove(&stream.id);
            self.announce_gone(stream.id, &stream.slug);
        }
        gone
    }

    /// Sets or clears a stream's origin. A lower epoch than the known one changes nothing.
    pub(crate) fn set_origin(&self, id: StreamId, origin: Option<OriginRef>) {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(&id) else {
            return;
        };
        let older = match (&stream.origin, &origin) {
            (Some(known), Some(new)) => new.epoch < known.epoch,
            _ => false,
        };
        if !older && stream.origin != origin {
            stream.origin = origin;
            self.announce(stream.event());
        }
    }

    /// The live streams with their publishers.
    pub(crate) fn publishers(&self) -> Vec<(StreamId, PublishId)> {
        let state = self.state.lock();
        let streams = state.streams.values();
        streams.map(|stream| (stream.id, stream.publish)).collect()
    }

    /// The live streams' ids.
    pub(crate) fn ids(&self) -> Vec<StreamId> {
        self.state.lock().streams.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(publish: PublishId, state: PublishState) -> LiveStream {
        LiveStream {
            id: StreamId::from_uuid(uuid::Uuid::nil()),
            slug: "live".parse().unwrap(),
            ingest: InstanceId::from_uuid(uuid::Uuid::nil()),
            ingest_address: "http://a:1".to_owned(),
            publish,
            state,
            health: StreamHealth::default(),
            reported: Instant::now(),
            origin: None,
            restricted: false,
            peak_viewers: 0,
            sessions: HashMap::new(),
            trace_parent: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_starts_once_and_ends_once() {
        let live = Live::default();
        let publish = PublishId::new();
        assert_eq!(
            live.report(stream(publish, PublishState::Live)),
            Change::Started
        );
        assert_eq!(
            live.report(stream(publish, PublishState::Paused)),
            Change::None
        );
        assert_eq!(
            live.report(stream(publish, PublishState::Ended)),
            Change::Ended
        );
        assert_eq!(
            live.report(stream(publish, PublishState::Ended)),
            Change::None
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_publisher_elsewhere_does_not_speak_for_the_stream() {
        let live = Live::default();
        let (old, new) = (PublishId::new(), PublishId::new());
        live.report(stream(new, PublishState::Live));
        let elsewhere = LiveStream {
            ingest: InstanceId::new(),
            ..stream(old, PublishState::Ended)
        };
        assert_eq!(live.report(elsewhere), Change::None);
        assert!(live.get(stream(new, PublishState::Live).id).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_ingest_that_falls_silent_ends_its_streams() {
        let live = Live::default();
        live.report(stream(PublishId::new(), PublishState::Live));
        let patience = Duration::from_secs(5);
        assert!(live.expire(patience, |_| false).is_empty());
        tokio::time::advance(Duration::from_secs(6)).await;
        live.forgive(Duration::from_secs(4));
        assert!(live.expire(patience, |_| false).is_empty(), "we slept");
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(live.expire(patience, |_| true).is_empty(), "another heard");
        assert_eq!(live.expire(patience, |_| false).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lower_epoch_never_replaces_a_higher_one() {
        let live = Live::default();
        let reported = stream(PublishId::new(), PublishState::Live);
        let id = reported.id;
        live.report(reported);
        let origin = |epoch| OriginRef {
            instance: InstanceId::new(),
            address: format!("http://o:{epoch}"),
            epoch: Epoch::new(epoch),
        };
        live.set_origin(id, Some(origin(2)));
        live.set_origin(id, Some(origin(1)));
        assert_eq!(live.get(id).unwrap().origin.unwrap().epoch, Epoch::new(2));
    }
}
