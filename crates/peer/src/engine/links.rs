//! Making links, giving them their turns, letting go of them.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use str0m::{
    Candidate, Input, Rtc, RtcConfig,
    crypto::from_feature_flags,
    net::{Protocol, Receive},
};
use types::StreamId;

use super::{Engine, MAX_FINISHED, MAX_PENDING};
use crate::{
    addresses,
    error::Refused,
    link::{Happened, Link, Turn},
    outer::OuterAddress,
    words::{CloseReason, Delivered, Event, LinkId},
};

/// What the channel holds at most, commands included.
const CHANNEL_BUFFER: usize = 512 * 1024;
/// Datagrams of this length pass everywhere (IPv6 promises 1280 with its headers).
const MTU: usize = 1200;
/// Addresses that one link is heard from.
const MAX_ROUTES: usize = 16;

/// How all links are set up; they share a certificate.
pub(super) fn config() -> RtcConfig {
    let crypto = from_feature_flags();
    let config = Rtc::builder()
        .clear_codecs()
        .set_sctp_max_buffered_amount(CHANNEL_BUFFER)
        .set_mtu(MTU..=usize::MAX);
    match crypto.dtls_provider.generate_certificate() {
        Some(certificate) => config.set_dtls_cert(certificate),
        None => config,
    }
}

impl Engine {
    /// A link with all our addresses, not yet said to anybody.
    pub(super) fn new_link(&mut self, id: LinkId, stream: StreamId) -> Result<Link, Refused> {
        let refused = if self.drains {
            Some(Refused::Stopping)
        } else if self.links.contains_key(&id) {
            Some(Refused::Twice)
        } else if self.links.len() >= self.options.max_links || self.pending.len() >= MAX_PENDING {
            Some(Refused::Full(self.options.max_links))
        } else {
            None
        };
        if let Some(refused) = refused {
            tracing::info!(link = ?id, %refused, "link refused");
            metrics::counter!("streamr_peer_links_refused_total").increment(1);
            return Err(refused);
        }
        let now = Instant::now();
        let mut rtc = self.config.clone().build(now);
        for socket in &self.sockets {
            for address in addresses::of(socket.address()) {
                add(&mut rtc, Candidate::host(address, Protocol::Udp));
            }
        }
        for known in self.outers.iter().filter_map(OuterAddress::known) {
            let candidate = Candidate::server_reflexive(known.outer, known.local, Protocol::Udp);
            add(&mut rtc, candidate);
        }
        Ok(Link::new(id, stream, rtc, now, self.options.open_within))
    }

    pub(super) fn insert(&mut self, link: Link) {
        let id = link.id.clone();
        self.links.insert(id.clone(), link);
        metrics::gauge!("streamr_peer_links").set(self.links.len() as f64);
        self.time_passed(&id, Instant::now());
    }

    pub(super) fn time_passed(&mut self, id: &LinkId, now: Instant) {
        self.turn(id, Some(Input::Timeout(now)), now);
    }

    /// Finds the link that a datagram is for.
    pub(super) fn link_datagram(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        contents: &[u8],
        now: Instant,
    ) {
        let Ok(receive) = Receive::new(Protocol::Udp, from, to, contents) else {
            return;
        };
        let input = Input::Receive(now, receive);
        let known = self.routes.get(&from).and_then(|id| self.links.get(id));
        let found = known.filter(|link| link.rtc.accepts(&input)).or_else(|| {
            let mut links = self.links.values();
            links.find(|link| link.rtc.accepts(&input))
        });
        let Some(id) = found.map(|link| link.id.clone()) else {
            return;
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.address = Some(from);
            if link.routes.len() < MAX_ROUTES && !link.routes.contains(&from) {
                link.routes.push(from);
                self.routes.insert(from, id.clone());
            }
        }
        self.turn(&id, Some(input), now);
    }

    /// Gives a link its turn. A panic on what a stranger sent costs that stranger's link only.
    pub(super) fn turn(&mut self, id: &LinkId, input: Option<Input<'_>>, now: Instant) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        let mut happened = Vec::new();
        let mut turn = Turn {
            now,
            source: &*self.source,
            bucket: &mut self.bucket,
            outbox: &mut self.outbox,
            draining: self.drains,
            happened: &mut happened,
        };
        if catch_unwind(AssertUnwindSafe(|| link.turn(input, &mut turn))).is_err() {
            tracing::error!(link = ?id, "transport panicked, link is closed");
            metrics::counter!("streamr_peer_panics_total").increment(1);
            link.over = Some(CloseReason::Failed);
        }
        let (stream, address, over) = (link.stream, link.address, link.over);
        for happened in happened {
            let link = id.clone();
            match happened {
                Happened::Opened => self.happened(Event::Opened {
                    link,
                    stream,
                    address,
                }),
                Happened::Announced(inventory) => self.happened(Event::Announced {
                    link,
                    loaded: inventory.loaded,
                    loading: inventory.loading,
                }),
                Happened::Throttled => {
                    if !self.throttled.contains(id) {
                        self.throttled.push_back(link);
                    }
                }
            }
        }
        if let Some(reason) = over {
            self.remove(id, reason);
        }
    }

    /// Lets go of a link. What it delivered stays to be asked for.
    pub(super) fn remove(&mut self, id: &LinkId, reason: CloseReason) {
        let Some(mut link) = self.links.remove(id) else {
            return;
        };
        let mut turn = Turn {
            now: Instant::now(),
            source: &*self.source,
            bucket: &mut self.bucket,
            outbox: &mut self.outbox,
            draining: true,
            happened: &mut Vec::new(),
        };
        if catch_unwind(AssertUnwindSafe(|| link.finish(&mut turn))).is_err() {
            metrics::counter!("streamr_peer_panics_total").increment(1);
        }
        for route in &link.routes {
            if self.routes.get(route) == Some(id) {
                self.routes.remove(route);
            }
        }
        self.throttled.retain(|throttled| throttled != id);
        if let Some((bytes, segments)) = link.counts.take() {
            if self.finished.len() >= MAX_FINISHED {
                tracing::warn!("deliveries of a closed link are lost: nobody asks for them");
                metrics::counter!("streamr_peer_deliveries_lost_total").increment(1);
                self.finished.pop_front();
            }
            self.finished.push_back(Delivered {
                link: id.clone(),
                stream: link.stream,
                bytes,
                segments,
            });
        }
        tracing::debug!(link = ?id, ?reason, "link closed");
        metrics::counter!("streamr_peer_links_closed_total", "reason" => reason.as_str())
            .increment(1);
        metrics::gauge!("streamr_peer_links").set(self.links.len() as f64);
        self.happened(Event::Closed {
            link: id.clone(),
            stream: link.stream,
            reason,
        });
    }

    pub(super) fn close_all(&mut self) {
        let all: Vec<LinkId> = self.links.keys().cloned().collect();
        for link in all {
            self.remove(&link, CloseReason::Asked);
        }
    }
}

fn add<E: std::fmt::Display>(rtc: &mut Rtc, candidate: Result<Candidate, E>) {
    match candidate {
        Ok(candidate) => {
            rtc.add_local_candidate(candidate);
        }
        Err(error) => tracing::debug!(%error, "address can't be offered"),
    }
}
