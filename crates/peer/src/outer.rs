//! The own address as the world sees it: asked by STUN, and kept open by asking again.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use p2p::stun::{self, Transaction};

/// Well below the shortest time after which a router forgets a mapping.
const AGAIN: Duration = Duration::from_secs(15);
/// While nothing is known yet.
const RETRY: Duration = Duration::from_secs(1);
/// So many unanswered questions, and the address is unknown again.
const FORGET_AFTER: u32 = 4;

/// One socket's outer address.
#[derive(Debug)]
pub(crate) struct OuterAddress {
    server: Option<SocketAddr>,
    asked: Option<Transaction>,
    unanswered: u32,
    next: Instant,
    known: Option<Known>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// As the server sees it.
    pub(crate) outer: SocketAddr,
    /// Where the answer came in.
    pub(crate) local: SocketAddr,
}

impl OuterAddress {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            server: None,
            asked: None,
            unanswered: 0,
            next: now,
            known: None,
        }
    }

    /// Asks another server from now on. What is known stays until it answers, or doesn't.
    pub(crate) fn ask(&mut self, server: Option<SocketAddr>, now: Instant) {
        if self.server != server {
            self.server = server;
            self.asked = None;
            self.unanswered = 0;
            self.next = now;
        }
        if server.is_none() {
            self.known = None;
        }
    }

    pub(crate) const fn known(&self) -> Option<Known> {
        self.known
    }

    /// When there is something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.server.map(|_| self.next)
    }

    /// The question that is due, and for whom.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        let server = self.server.filter(|_| now >= self.next)?;
        if self.asked.is_some() {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        if self.unanswered >= FORGET_AFTER && self.known.take().is_some() {
            tracing::info!(%server, "outer address is unknown: no answer");
            metrics::counter!("streamr_peer_outer_address_lost_total").increment(1);
        }
        let transaction = Transaction(rand::random());
        self.asked = Some(transaction);
        let settled = self.known.is_some() || self.unanswered >= 2 * FORGET_AFTER;
        self.next = now + if settled { AGAIN } else { RETRY };
        Some((server, stun::request(transaction)))
    }

    /// Takes a datagram if it is the answer.
    pub(crate) fn take(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        local: SocketAddr,
        now: Instant,
    ) -> bool {
        if self.server != Some(from) {
            return false;
        }
        let Ok(answer) = stun::parse_response(datagram) else {
            return false;
        };
        if self.asked != Some(answer.transaction) {
            return false;
        }
        self.asked = None;
        self.unanswered = 0;
        self.next = now + AGAIN;
        let known = Known {
            outer: answer.address,
            local,
        };
        if self.known.replace(known) != Some(known) {
            tracing::info!(outer = %known.outer, %local, "outer address is known");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(question: &[u8], outer: &str) -> Vec<u8> {
        let transaction = stun::parse_request(question).unwrap();
        stun::response(transaction, outer.parse().unwrap())
    }

    #[test]
    fn only_the_asked_server_and_question_count() {
        let mut now = Instant::now();
        let server: SocketAddr = "192.0.2.1:3478".parse().unwrap();
        let local = "10.0.0.2:5000".parse().unwrap();
        let mut address = OuterAddress::new(now);
        assert_eq!(address.due(now), None);
        address.ask(Some(server), now);
        let (to, question) = address.due(now).unwrap();
        assert_eq!((to, address.due(now)), (server, None));
        let good = answer(&question, "203.0.113.7:40000");
        let stranger = "192.0.2.9:3478".parse().unwrap();
        assert!(!address.take(&good, stranger, local, now));
        let other = answer(&stun::request(Transaction([7; 12])), "203.0.113.9:1");
        assert!(!address.take(&other, server, local, now));
        assert!(address.take(&good, server, local, now));
        assert!(!address.take(&good, server, local, now), "a replay");
        let outer = "203.0.113.7:40000".parse().unwrap();
        assert_eq!(address.known(), Some(Known { outer, local }));

        for _ in 0..=FORGET_AFTER {
            assert!(address.known().is_some());
            now = address.deadline().unwrap();
            address.due(now).unwrap();
        }
        assert_eq!(address.known(), None, "nobody answered");
    }
}
