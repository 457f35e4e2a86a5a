//! Nodes that come and go, and what they say on their connection.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use proto::node::{
    HelpedStream, LinkPhase, MeasureUploadAsked, Notice, OriginKeys, Ping, Revoked, Welcome,
    connect_request::Message as Up, connect_response::Message as Down,
};
use storage::{NewAudit, Node};
use time::OffsetDateTime;
use tokio::{sync::mpsc, time::Instant};
use types::{Bitrate, NodeId, RunId, SessionId, StreamId};

use super::{
    Swarm, link, measure,
    seat::{Helped, Seat, peer_id},
    state::{State, now_ms},
    work::{Told, pull_session},
};
use crate::{Error, rest::Links};

/// How often heartbeats are wanted.
const HEARTBEAT_MS: u32 = 2000;
/// How often delivery reports are wanted.
const REPORT_MS: u32 = 10_000;
/// How long a run keeps its identity to itself after its last word.
const HELD: std::time::Duration = std::time::Duration::from_secs(6);

/// A node that said who it is.
pub(super) struct Arrival {
    pub(super) known: Node,
    pub(super) run: RunId,
    pub(super) version: String,
    pub(super) from: IpAddr,
    pub(super) links: Links,
    pub(super) to: mpsc::Sender<proto::node::ConnectResponse>,
}

fn revoked(stream: StreamId) -> Down {
    Down::Revoked(Revoked {
        stream_id: stream.to_string(),
        reason: "the streamer, or you, ended this; the stream is carried without you".to_owned(),
    })
}

impl Swarm {
    /// A stream as nodes are told of it.
    pub(super) async fn helped(&self, stream: StreamId) -> Result<HelpedStream, Error> {
        if !self.learn(stream).await? {
            return Err(Error::NotFound("stream"));
        }
        let state = self.inner.state.lock();
        let facts = state
            .streams
            .get(&stream)
            .ok_or(Error::NotFound("stream"))?;
        Ok(HelpedStream {
            stream_id: stream.to_string(),
            slug: facts.slug.clone(),
            title: facts.title.clone(),
            streamer: facts.streamer.clone(),
        })
    }

    async fn streams_of(&self, node: NodeId) -> Result<HashMap<StreamId, Helped>, Error> {
        let friends = self.inner.database.friends().of_node(node).await?;
        let mut streams = HashMap::new();
        for friend in friends {
            self.learn(friend.stream).await?;
            let pull = pull_session(&self.inner.keys, &friend);
            let helped = Helped {
                name: friend.name,
                paused: friend.paused_at.is_some(),
                pull,
            };
            streams.insert(friend.stream, helped);
        }
        Ok(streams)
    }

    /// Gives a node its seat. Answers the connection's number.
    pub(super) async fn seat(&self, arrival: Arrival) -> Result<u64, Error> {
        let node = arrival.known.id;
        let streams = self.streams_of(node).await?;
        let ids: Vec<StreamId> = streams.keys().copied().collect();
        let keys = self.origin_keys(&ids).await?;
        // It may have been away when it was removed.
        let gone = self.inner.database.friends().once_of_node(node).await?;
        let measured = arrival.known.measured;
        let age = measured.map(|(_, at)| (OffsetDateTime::now_utc() - at).unsigned_abs());
        let measured_in = measure::due_in(age);
        let stun = self.stun_address(&arrival.links);
        let (serial, copied) = {
            let mut state = self.inner.state.lock();
            if !state.kept {
                return Err(Error::NoKeeper);
            }
            let held = state.seats.get(&node).filter(|seat| {
                seat.run != arrival.run && seat.broken.is_none() && seat.heard.elapsed() < HELD
            });
            if held.is_some() {
                (0, true)
            } else {
                let serial = state.number();
                // The same run goes on with the viewers it has; another has none of them.
                let before = state.seats.get(&node).map(|seat| seat.run);
                if before.is_some_and(|run| run != arrival.run) {
                    state.unseat(node);
                }
                let old = state.seats.remove(&node);
                let mut seat = Seat {
                    node,
                    serial,
                    run: arrival.run,
                    to: arrival.to,
                    address: arrival.from,
                    peer_id: peer_id(&self.inner.keys, node),
                    version: arrival.version,
                    streams,
                    measured: measured.map(|(bps, _)| bps),
                    round_trip: None,
                    beat: proto::node::Heartbeat::default(),
                    heard: Instant::now(),
                    quarantined: arrival.known.quarantine.is_some(),
                    reserved: Bitrate::ZERO,
                    serving: HashMap::new(),
                    idle: HashMap::new(),
                    broken: None,
                    playback: arrival.links.playback().to_owned(),
                    pinged: None,
                    told: Told::nothing(),
                    current: HashSet::new(),
                    measure_at: Instant::now() + measured_in,
                };
                if let Some(old) = old {
                    seat.reserved = old.reserved;
                    seat.serving = old.serving;
                    seat.idle = old.idle;
                    seat.beat = old.beat;
                    seat.measured = seat.measured.or(old.measured);
                }
                seat.tell(Down::Welcome(Welcome {
                    now_unix_ms: now_ms(),
                    heartbeat_ms: HEARTBEAT_MS,
                    report_ms: REPORT_MS,
                    stun,
                    name: arrival.known.name.clone(),
                    supporter_url: self.supporter_url(&arrival.links, node),
                    measured_upload_bps: seat.measured.map_or(0, Bitrate::get),
                }));
                seat.tell(Down::OriginKeys(keys));
                for stream in gone {
                    seat.tell(revoked(stream));
                }
                if measured_in.is_zero() && seat.serving.is_empty() {
                    self.have_measured(&mut seat);
                }
                for stream in seat.streams.keys() {
                    state.carriers.entry(*stream).or_default().all.insert(node);
                }
                state.seats.insert(node, seat);
                self.give_work_to(&mut state, node);
                (serial, false)
            }
        };
        if copied {
            return Err(self.copied(node, arrival.run, arrival.from).await?);
        }
        tracing::debug!(node_id = %node, "a node is connected");
        Ok(serial)
    }

    /// Has a node measured.
    pub(super) fn have_measured(&self, seat: &mut Seat) {
        seat.measure_at = Instant::now() + measure::AGAIN;
        seat.tell(Down::MeasureUpload(MeasureUploadAsked {
            ticket: self.inner.tickets.make(seat.node),
            bytes: measure::BYTES,
            for_ms: measure::FOR.as_millis() as u32,
        }));
    }

    /// Two run with one identity: that is kept as evidence, and the second is refused.
    async fn copied(&self, node: NodeId, run: RunId, from: IpAddr) -> Result<Error, Error> {
        metrics::counter!("streamr_node_refused_total", "reason" => "connected_elsewhere")
            .increment(1);
        let detail = format!("{{\"run\":\"{run}\",\"address\":\"{from}\"}}");
        let evidence = self.inner.database.evidence();
        evidence.keep(node, None, "identity", &detail).await?;
        Ok(Error::ConnectedElsewhere)
    }

    /// A connection ended.
    pub(super) fn broke(&self, node: NodeId, serial: u64) {
        let mut state = self.inner.state.lock();
        if let Some(seat) = state
            .seats
            .get_mut(&node)
            .filter(|seat| seat.serial == serial)
        {
            seat.broken.get_or_insert_with(Instant::now);
        }
    }

    /// What a node says, but for reports.
    pub(super) fn hear_node(&self, node: NodeId, message: Up) {
        self.with(|state| self.take(state, node, message));
    }

    fn take(&self, state: &mut State, node: NodeId, message: Up) {
        let number = state.number();
        let Some(seat) = state.seats.get_mut(&node) else {
            return;
        };
        seat.heard = Instant::now();
        match message {
            Up::Heartbeat(beat) => {
                let drains = seat.beat.accepting && !beat.accepting;
                seat.beat = beat;
                let ping_due = seat
                    .pinged
                    .is_none_or(|(_, at)| at.elapsed() > std::time::Duration::from_secs(5));
                if ping_due {
                    seat.pinged = Some((number, Instant::now()));
                    seat.tell(Down::Ping(Ping { nonce: number }));
                }
                if drains {
                    tracing::debug!(node_id = %node, "a node takes no new viewers");
                }
            }
            Up::Pong(pong) => {
                if let Some((_, at)) = seat.pinged.filter(|(nonce, _)| *nonce == pong.nonce) {
                    seat.round_trip = Some(at.elapsed());
                }
            }
            Up::Description(described) => state.described(node, described.r#ref, &described.sdp),
            Up::LinkState(told) => {
                let Some(link) = link::Link::open(&self.inner.keys, &told.link, node) else {
                    metrics::counter!("streamr_node_refused_total", "reason" => "link")
                        .increment(1);
                    return;
                };
                if told.phase() == LinkPhase::Open {
                    let from = told.peer_address.parse().ok();
                    state.adopt(&link, told.link.clone(), from);
                    state.opened(link.session, node);
                } else {
                    // Only the link that is meant: a newer one between the two goes on.
                    let same = state.viewers.get(&link.session).is_some_and(|viewer| {
                        viewer
                            .assignment(node)
                            .is_some_and(|given| given.from_ms == link.from_ms)
                    });
                    if same {
                        state.release(link.session, node);
                        state.want(link.session);
                    }
                }
            }
            Up::Hello(_) | Up::Report(_) => {}
        }
    }

    /// What a node can upload was measured.
    pub(super) async fn measured(&self, node: NodeId, bitrate: Bitrate) {
        let version = {
            let mut state = self.inner.state.lock();
            let Some(seat) = state.seats.get_mut(&node) else {
                return;
            };
            seat.measured = Some(bitrate);
            seat.measure_at = Instant::now() + measure::GOOD_FOR;
            seat.version.clone()
        };
        let friends = self.inner.database.friends();
        if let Err(error) = friends.measured(node, bitrate, version).await {
            tracing::debug!(%error, "a measurement is not kept");
        }
    }

    /// Which streams a node carries changed: it enrolled once more, was paused, renamed or removed.
    pub(crate) async fn friends_changed(&self, node: NodeId) -> Result<(), Error> {
        if !self.is_kept() {
            return Ok(());
        }
        let streams = self.streams_of(node).await?;
        let known = self.inner.database.friends().node(node).await?;
        let ids: Vec<StreamId> = streams.keys().copied().collect();
        let keys = self.origin_keys(&ids).await?;
        let quarantined = known.is_none_or(|known| known.quarantine.is_some());
        let pulls = self.with(|state| self.recast(state, node, streams, quarantined, keys));
        self.end_pulls(pulls).await
    }

    /// Edges serve these sessions of nodes no longer.
    async fn end_pulls(&self, pulls: Vec<(StreamId, SessionId)>) -> Result<(), Error> {
        for (stream, session) in &pulls {
            self.inner.live.revoke_session(*stream, *session);
        }
        // Edges follow any of the coordinators.
        self.inner.gather.revoked(pulls).await
    }

    /// A seat is given other streams. Answers the pull sessions of those it lost.
    fn recast(
        &self,
        state: &mut State,
        node: NodeId,
        streams: HashMap<StreamId, Helped>,
        quarantined: bool,
        keys: OriginKeys,
    ) -> Vec<(StreamId, SessionId)> {
        let Some(seat) = state.seats.get_mut(&node) else {
            return Vec::new();
        };
        seat.quarantined = quarantined;
        let before = std::mem::replace(&mut seat.streams, streams.clone());
        let mut pulls = Vec::new();
        for (stream, helped) in &before {
            let now = streams.get(stream);
            if now.is_none_or(|now| now.pull != helped.pull) {
                pulls.push((*stream, helped.pull));
            }
            if now.is_none() {
                seat.tell(revoked(*stream));
                seat.idle.remove(stream);
            }
        }
        seat.tell(Down::OriginKeys(keys));
        for stream in before.keys() {
            let goes_on = streams.get(stream).is_some_and(|helped| !helped.paused);
            if !goes_on || quarantined {
                for session in state.sessions_of(node, Some(*stream)) {
                    state.part(session, node);
                    state.want(session);
                }
            }
        }
        for stream in before
            .keys()
            .filter(|stream| !streams.contains_key(*stream))
        {
            if let Some(seat) = state.seats.get_mut(&node) {
                seat.idle.remove(stream);
            }
            state.carries_no_longer(node, *stream);
        }
        for stream in streams.keys() {
            state.carriers.entry(*stream).or_default().all.insert(node);
        }
        self.give_work_to(state, node);
        pulls
    }

    /// A node carries a stream no longer. `false`: it did not.
    pub(crate) async fn remove(
        &self,
        stream: StreamId,
        node: NodeId,
        mut entry: NewAudit,
    ) -> Result<bool, Error> {
        entry.subject = Some(format!("stream/{stream}"));
        let friends = self.inner.database.friends();
        let known = friends.of_node(node).await?.into_iter();
        let known = known.filter(|friend| friend.stream == stream);
        let pulls: Vec<SessionId> = known
            .map(|friend| pull_session(&self.inner.keys, &friend))
            .collect();
        let removed = friends
            .set_status(stream, node, events::NodeStatus::Removed, entry)
            .await?;
        if removed {
            // Also of a node that is away now, or connected to another coordinator.
            self.end_pulls(pulls.into_iter().map(|pull| (stream, pull)).collect())
                .await?;
            self.friends_changed(node).await?;
        }
        Ok(removed)
    }

    /// A streamer's words to a friend. `false`: the node is not connected.
    pub(crate) fn notice(
        &self,
        node: NodeId,
        stream: StreamId,
        from: String,
        text: String,
    ) -> bool {
        let mut state = self.inner.state.lock();
        let Some(seat) = state.seats.get_mut(&node) else {
            return false;
        };
        seat.tell(Down::Notice(Notice {
            stream_id: stream.to_string(),
            from,
            text,
        }));
        true
    }

    /// Where nodes find the STUN responder.
    pub(super) fn stun_address(&self, links: &Links) -> String {
        links.stun(self.inner.settings.stun_port)
    }
}
