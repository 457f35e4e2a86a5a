//! What the handle asks for.

use std::{net::SocketAddr, time::Instant};

use str0m::change::{SdpAnswer, SdpOffer};
use types::StreamId;

use super::Engine;
use crate::{
    addresses,
    error::{FetchError, Refused},
    handle::Ask,
    outer::OuterAddress,
    sdp,
    words::{CloseReason, Delivered, LinkId, LinkState, Outer},
};

impl Engine {
    pub(super) fn take(&mut self, ask: Ask) {
        let now = Instant::now();
        // Whoever asked may have given up waiting.
        match ask {
            Ask::Answer {
                link,
                stream,
                sdp,
                reply,
            } => drop(reply.send(self.answer(link, stream, &sdp))),
            Ask::Offer {
                link,
                stream,
                reply,
            } => drop(reply.send(self.offer(link, stream))),
            Ask::Accept { link, sdp, reply } => drop(reply.send(self.accept(&link, &sdp))),
            Ask::Close(link) => self.remove(&link, CloseReason::Asked),
            Ask::CloseStream(stream) => {
                for link in self.links_of(stream) {
                    self.remove(&link, CloseReason::Asked);
                }
            }
            Ask::Fetch {
                link,
                msn,
                within,
                reply,
            } => {
                let Some(found) = self.links.get_mut(&link) else {
                    drop(reply.send(Err(FetchError::NotOpen)));
                    return;
                };
                found.fetch(msn, self.options.max_segment, now + within, reply);
                self.time_passed(&link, now);
            }
            Ask::Changed(stream) => self.announce(&self.links_of(stream), now),
            Ask::Limit(rate, held) => {
                self.bucket.set(rate, now);
                let _ = held.send(());
            }
            Ask::Stun(servers) => {
                for (outer, socket) in self.outers.iter_mut().zip(&self.sockets) {
                    let mut servers = servers.iter().copied();
                    let family = socket.address().is_ipv4();
                    outer.ask(servers.find(|server| server.is_ipv4() == family), now);
                }
                self.tick();
            }
            Ask::Outer(reply) => drop(reply.send(self.outer())),
            Ask::Deliveries(reply) => drop(reply.send(self.deliveries())),
            Ask::Links(reply) => drop(reply.send(self.states())),
            Ask::Drain(reply) => {
                self.drains = true;
                self.draining = Some(reply);
                let all: Vec<LinkId> = self.links.keys().cloned().collect();
                self.announce(&all, now);
            }
        }
    }

    fn answer(&mut self, id: LinkId, stream: StreamId, sdp: &str) -> Result<String, Refused> {
        let sdp = sdp::bounded(sdp)?;
        let offer = SdpOffer::from_sdp_string(&sdp).map_err(|e| Refused::Sdp(e.to_string()))?;
        let mut link = self.new_link(id, stream)?;
        let answer = link.rtc.sdp_api().accept_offer(offer);
        let answer = answer.map_err(|error| Refused::Sdp(error.to_string()))?;
        self.insert(link);
        Ok(answer.to_sdp_string())
    }

    fn offer(&mut self, id: LinkId, stream: StreamId) -> Result<String, Refused> {
        let mut link = self.new_link(id, stream)?;
        // Forty hexadecimal digits, as pages name theirs.
        let (high, low) = (rand::random::<u128>(), rand::random::<u32>());
        let label = format!("{high:032x}{low:08x}");
        let mut change = link.rtc.sdp_api();
        let channel = change.add_channel(label);
        let (offer, pending) = change
            .apply()
            .ok_or_else(|| Refused::Sdp("nothing to offer".to_owned()))?;
        link.offered(channel, pending);
        self.insert(link);
        Ok(offer.to_sdp_string())
    }

    fn accept(&mut self, id: &LinkId, sdp: &str) -> Result<(), Refused> {
        let sdp = sdp::bounded(sdp)?;
        let answer = SdpAnswer::from_sdp_string(&sdp).map_err(|e| Refused::Sdp(e.to_string()))?;
        let link = self.links.get_mut(id).ok_or(Refused::Unknown)?;
        let pending = link.pending.take().ok_or(Refused::Unknown)?;
        let accepted = link.rtc.sdp_api().accept_answer(pending, answer);
        if let Err(error) = accepted {
            self.remove(id, CloseReason::Failed);
            return Err(Refused::Sdp(error.to_string()));
        }
        self.time_passed(id, Instant::now());
        Ok(())
    }

    fn links_of(&self, stream: StreamId) -> Vec<LinkId> {
        let links = self.links.values().filter(|link| link.stream == stream);
        links.map(|link| link.id.clone()).collect()
    }

    fn announce(&mut self, links: &[LinkId], now: Instant) {
        for id in links {
            if let Some(link) = self.links.get_mut(id) {
                link.announce();
                self.time_passed(id, now);
            }
        }
    }

    fn outer(&self) -> Outer {
        let known = self.outers.iter().find_map(OuterAddress::known);
        let here = |outer: SocketAddr| {
            let own = self
                .sockets
                .iter()
                .map(|socket| addresses::of(socket.address()));
            own.flatten().any(|own| own == outer)
        };
        Outer {
            address: known.map(|known| known.outer),
            direct: known.is_some_and(|known| here(known.outer)),
        }
    }

    fn deliveries(&mut self) -> Vec<Delivered> {
        let mut delivered: Vec<Delivered> = self.finished.drain(..).collect();
        for link in self.links.values_mut() {
            if let Some((bytes, segments)) = link.counts.take() {
                delivered.push(Delivered {
                    link: link.id.clone(),
                    stream: link.stream,
                    bytes,
                    segments,
                });
            }
        }
        delivered
    }

    fn states(&self) -> Vec<LinkState> {
        let states = self.links.values().map(|link| LinkState {
            link: link.id.clone(),
            stream: link.stream,
            open: link.is_open(),
            address: link.address,
            delivered: link.counts.total(),
        });
        states.collect()
    }
}
