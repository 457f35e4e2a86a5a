//! Assigning: which session is given which nodes, when, and how the two are brought together.

use std::time::Duration;

use p2p::tracker::{Offer as PageOffer, OfferId, ServerMessage};
use proto::node::{Call, Offer, connect_response::Message};
use tokio::time::Instant;
use types::{Bitrate, NodeId, SessionId};

use super::{
    draw::{Candidate, draw, most_pulling},
    sdp,
    state::{Asked, Pending, State},
};

/// Nodes of one session: when one is lost, the other goes on.
const WANTED: usize = 2;
/// A connection that is not open by then won't be.
const CONNECTING: Duration = Duration::from_secs(15);
/// A session is given other nodes after this (design §5).
const REDRAWN: Duration = Duration::from_secs(600);
/// A session that nothing connects to anything is over after this.
const ALONE: Duration = Duration::from_secs(45);
/// Calls to one page whose answers are awaited.
const MAX_CALLED: usize = 32;
/// Nodes that are looked at for one draw: all of them where there are no more, else as many by chance. So a draw
/// costs the same however many friends a stream has.
const SAMPLED: usize = 32;
/// Questions to nodes at once.
const MAX_PENDING: usize = 50_000;

impl State {
    /// What one of `nodes` nodes of a session must be able to take.
    fn share(&self, session: SessionId, nodes: usize) -> Option<Bitrate> {
        let viewer = self.viewers.get(&session)?;
        let taken = self.streams.get(&viewer.stream)?.taken();
        Some(Bitrate::new(taken.get() / nodes.max(1) as u64))
    }

    /// Draws a node for a session from those it does not have.
    fn pick(&mut self, session: SessionId) -> Option<(NodeId, Bitrate)> {
        if !self.enabled || self.pending.len() >= MAX_PENDING {
            return None;
        }
        let (viewer, now) = (self.viewers.get(&session)?, Instant::now());
        let stream = viewer.stream;
        let facts = self.streams.get(&stream)?;
        if !facts.live || viewer.assignments.len() > WANTED {
            return None;
        }
        let carriers = self.carriers.get(&stream)?;
        let share = self.share(session, WANTED.min(carriers.all.len()))?;
        let open = |node: NodeId| {
            let is_new = !viewer.excluded.has(node, now) && viewer.assignment(node).is_none();
            let seat = self.seats.get(&node).filter(|_| is_new)?;
            seat.may_take(stream, share).then(|| seat.candidate())
        };
        let mut chance = rand::rng();
        let pulling = carriers.pulling.some(SAMPLED, &mut chance);
        let mut candidates: Vec<Candidate> = pulling.filter_map(open).collect();
        let audience = self.audiences.get(&stream);
        let audience = audience.map_or(0, |audience| audience.sessions.len());
        // A session without any node is given one that must begin to pull, if need be.
        let may_start = carriers.pulling.len() < most_pulling(audience)
            || (viewer.assignments.is_empty() && candidates.is_empty());
        if may_start {
            let all = carriers.all.some(SAMPLED, &mut chance);
            let idle = all.filter(|node| !carriers.pulling.contains(node));
            candidates.extend(idle.filter_map(open));
        }
        Some((draw(&candidates, rand::random())?, share))
    }

    /// How many nodes a session lacks.
    fn lacking(&self, session: SessionId) -> usize {
        self.viewers
            .get(&session)
            .map_or(0, |viewer| WANTED.saturating_sub(viewer.assignments.len()))
    }

    /// Gives a session nodes by the offers its page made; what is left is for other pages.
    pub(super) fn take_offers(&mut self, session: SessionId, offers: Vec<PageOffer>) {
        let mut offers = offers.into_iter();
        for _ in 0..self.lacking(session) {
            let Some((node, share)) = self.pick(session) else {
                break;
            };
            let Some(offer) = offers.next() else {
                self.call(session, node, share);
                continue;
            };
            let Some(link) = self.give(session, node, share) else {
                break;
            };
            let number = self.number();
            let Some(viewer) = self.viewers.get(&session) else {
                return;
            };
            let told = Offer {
                r#ref: number,
                link,
                stream_id: viewer.stream.to_string(),
                sdp: sdp::with_address(&offer.sdp, viewer.address),
            };
            self.ask(number, session, node, Asked::Answer(offer.offer_id));
            self.outgoing.push((node, Message::Offer(told)));
        }
        self.pair(session, offers.collect());
    }

    fn ask(&mut self, number: u64, session: SessionId, node: NodeId, asked: Asked) {
        self.pending.insert(
            number,
            Pending {
                session,
                node,
                asked,
                at: Instant::now(),
            },
        );
    }

    /// Has a node offer a session's page a connection.
    fn call(&mut self, session: SessionId, node: NodeId, share: Bitrate) {
        let Some(link) = self.give(session, node, share) else {
            return;
        };
        let number = self.number();
        let Some(viewer) = self.viewers.get(&session) else {
            return;
        };
        let told = Call {
            r#ref: number,
            link,
            stream_id: viewer.stream.to_string(),
        };
        self.ask(number, session, node, Asked::Offer);
        self.outgoing.push((node, Message::Call(told)));
    }

    /// Gives a session the nodes it lacks, if its page can be reached.
    pub(super) fn want(&mut self, session: SessionId) {
        let reachable = self
            .viewers
            .get(&session)
            .is_some_and(|viewer| viewer.swarm().is_some());
        if !reachable {
            return;
        }
        for _ in 0..self.lacking(session) {
            let Some((node, share)) = self.pick(session) else {
                return;
            };
            self.call(session, node, share);
        }
    }

    /// What a node said to an offer or a call.
    pub(super) fn described(&mut self, node: NodeId, number: u64, description: &str) {
        if self.tests.get(&number).is_some_and(|(of, _)| *of == node)
            && let Some((_, tester)) = self.tests.remove(&number)
        {
            // Who gave up waiting does not hear it.
            let _ = tester.send(description.to_owned());
            return;
        }
        // Another's question stays open: numbers are no secret.
        let is_its = self.pending.get(&number);
        if is_its.is_none_or(|asked| asked.node != node) {
            return;
        }
        let Some(pending) = self.pending.remove(&number) else {
            return;
        };
        let session = pending.session;
        if description.is_empty() || description.len() > p2p::tracker::MAX_SDP {
            self.part(session, node);
            self.want(session);
            return;
        }
        let (Some(viewer), Some(seat)) = (self.viewers.get_mut(&session), self.seats.get(&node))
        else {
            return;
        };
        let sdp = sdp::for_page(description, seat.address, viewer.address);
        let Some((info_hash, _)) = viewer.swarm() else {
            return;
        };
        let peer_id = seat.peer_id;
        let message = match pending.asked {
            Asked::Answer(offer_id) => ServerMessage::Answer {
                info_hash,
                peer_id,
                offer_id,
                sdp,
            },
            Asked::Offer => {
                let random: [u8; 20] = rand::random();
                let text: Vec<u8> = random.iter().map(|byte| b'a' + byte % 26).collect();
                let Some(offer_id) = OfferId::new(&text) else {
                    return;
                };
                if viewer.called.len() >= MAX_CALLED {
                    // Calls that the page never answered.
                    viewer.called.clear();
                }
                viewer.called.insert(offer_id.clone(), (number, node));
                let offer = PageOffer { offer_id, sdp };
                ServerMessage::Offer {
                    info_hash,
                    peer_id,
                    offer,
                }
            }
        };
        if let Some(page) = &viewer.page {
            page.tell(message);
        }
    }

    /// Questions that nodes did not answer in time are forgotten.
    pub(super) fn forget_questions(&mut self) {
        self.pending
            .retain(|_, pending| pending.at.elapsed() < CONNECTING);
    }

    /// Looks through some sessions: ends those that nobody is at, gives up connections that don't come about,
    /// redraws, and gives nodes to who lacks some, to `wants` sessions at most.
    pub(super) fn review(&mut self, some: &[SessionId], wants: &mut usize) {
        for session in some {
            self.review_one(*session, wants);
        }
    }

    fn review_one(&mut self, session: SessionId, wants: &mut usize) {
        let Some(viewer) = self.viewers.get_mut(&session) else {
            return;
        };
        viewer.note_presence();
        if viewer.alone.is_some_and(|since| since.elapsed() > ALONE) {
            self.end_viewer(session);
            return;
        }
        let given = viewer.assignments.iter();
        let failed: Vec<NodeId> = given
            .filter(|given| !given.open && given.since.elapsed() > CONNECTING)
            .map(|given| given.node)
            .collect();
        let mut given = viewer.assignments.iter();
        let is_old = given.any(|given| given.open && given.since.elapsed() > REDRAWN);
        let reachable = viewer.swarm().is_some();
        for node in failed {
            metrics::counter!("streamr_links_failed_total").increment(1);
            self.part(session, node);
        }
        self.note_bitrate(session);
        if !reachable || *wants == 0 {
            return;
        }
        if is_old && let Some((node, share)) = self.pick(session) {
            self.call(session, node, share);
        }
        if self.lacking(session) > 0 {
            *wants -= 1;
            self.want(session);
        }
    }

    /// A link is open: what it replaced is let go of.
    pub(super) fn opened(&mut self, session: SessionId, node: NodeId) {
        let Some(viewer) = self.viewers.get_mut(&session) else {
            return;
        };
        let was_carried = viewer.is_carried();
        if let Some(given) = viewer.assignment_mut(node) {
            given.open = true;
        }
        viewer.note_presence();
        let open = viewer.assignments.iter().filter(|given| given.open);
        let surplus = viewer.assignments.len() > WANTED && open.clone().count() > WANTED;
        let oldest = open.min_by_key(|given| given.since).map(|given| given.node);
        self.note_carried(session, was_carried);
        if surplus && let Some(oldest) = oldest {
            self.let_go(session, oldest);
        }
        self.show(session);
    }
}
