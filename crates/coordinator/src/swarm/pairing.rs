//! Viewers paired with viewers, where the stream lets them: offers of one page are taken to another, and answers
//! back. No byte of media passes here.

use p2p::tracker::{Answer, Offer, ServerMessage};
use proto::node::{CallAnswer, connect_response::Message};
use types::SessionId;

use super::{sdp, state::State};

/// Other pages that are looked at for one announce: all of them where there are no more, else as many by chance.
const SAMPLED: usize = 64;
/// Other pages that one page is paired with at once.
const MAX_PAIRED: usize = 8;

impl State {
    /// Takes offers to other pages of the same swarm, drawn by chance.
    pub(super) fn pair(&mut self, session: SessionId, offers: Vec<Offer>) {
        let Some(viewer) = self.viewers.get(&session) else {
            return;
        };
        let Some((info_hash, peer_id)) = viewer.swarm() else {
            return;
        };
        let facts = self.streams.get(&viewer.stream);
        let paired = self.enabled && facts.is_some_and(|facts| facts.live && !facts.friends_only);
        if !paired || offers.is_empty() {
            return;
        }
        let room = MAX_PAIRED.saturating_sub(viewer.paired.len());
        let address = viewer.address;
        let known = viewer.paired.clone();
        let Some(audience) = self.audiences.get(&viewer.stream) else {
            return;
        };
        let others = audience.sessions.some(SAMPLED, &mut rand::rng());
        let open = others.filter(|other| {
            let other = self.viewers.get(other).filter(|_| *other != session);
            other.is_some_and(|other| {
                other.paired.len() < MAX_PAIRED
                    && other.swarm().is_some_and(|(swarm, peer)| {
                        swarm == info_hash && peer != peer_id && !known.contains(&peer)
                    })
            })
        });
        let chosen: Vec<SessionId> = open.take(offers.len().min(room)).collect();
        for (other, offer) in chosen.into_iter().zip(offers) {
            let told = ServerMessage::Offer {
                info_hash,
                peer_id,
                offer: Offer {
                    offer_id: offer.offer_id,
                    sdp: sdp::with_address(&offer.sdp, address),
                },
            };
            let Some(other) = self.viewers.get_mut(&other) else {
                continue;
            };
            other.paired.insert(peer_id);
            let theirs = other.swarm().map(|(_, peer)| peer);
            if let Some(page) = &other.page {
                page.tell(told);
            }
            if let (Some(theirs), Some(viewer)) = (theirs, self.viewers.get_mut(&session)) {
                viewer.paired.insert(theirs);
            }
        }
    }

    /// Takes a page's answer to who offered: a node, or another page.
    pub(super) fn answered(&mut self, session: SessionId, answer: Answer) {
        let Some(viewer) = self.viewers.get_mut(&session) else {
            return;
        };
        let Some((info_hash, peer_id)) = viewer.swarm() else {
            return;
        };
        if let Some((number, node)) = viewer.called.remove(&answer.offer_id) {
            let address = viewer.address;
            if let Some(seat) = self.seats.get_mut(&node) {
                seat.tell(Message::CallAnswer(CallAnswer {
                    r#ref: number,
                    sdp: sdp::with_address(&answer.sdp, address),
                }));
            }
            return;
        }
        // Only to a page it was paired with: nobody is sent what nobody asked for.
        if !viewer.paired.contains(&answer.to_peer_id) {
            return;
        }
        let address = viewer.address;
        let stream = viewer.stream;
        let to = self.pages.get(&(stream, answer.to_peer_id));
        let page = to
            .and_then(|to| self.viewers.get(to))
            .and_then(|to| to.page.as_ref());
        if let Some(page) = page {
            page.tell(ServerMessage::Answer {
                info_hash,
                peer_id,
                offer_id: answer.offer_id,
                sdp: sdp::with_address(&answer.sdp, address),
            });
        }
    }
}
