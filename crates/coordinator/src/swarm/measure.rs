//! How much a node can upload: timed here, not believed. The node sends some megabytes of nothing when it is
//! asked to, and the coordinator counts.

use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use types::{Bitrate, NodeId};

/// Bytes that are asked for at most.
pub(super) const BYTES: u64 = 4 * 1024 * 1024;
/// For at most so long.
pub(super) const FOR: Duration = Duration::from_secs(2);
/// A measurement is good for so long.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(6 * 3600);
/// One that did not come about is asked for again after this.
pub(super) const AGAIN: Duration = Duration::from_secs(60);
/// The start is left out: windows open slowly.
const SETTLING: Duration = Duration::from_millis(200);
/// Measurements under way at once; further nodes wait for theirs.
const MAX_TICKETS: u64 = 200;

/// When a node is to be measured that was measured so long ago, if it was.
pub(super) fn due_in(age: Option<Duration>) -> Duration {
    age.map_or(Duration::ZERO, |age| GOOD_FOR.saturating_sub(age))
}

/// Which node may send, once.
#[derive(Clone)]
pub(super) struct Tickets(Cache<[u8; 16], NodeId>);

impl Default for Tickets {
    fn default() -> Self {
        let tickets = Cache::builder()
            .max_capacity(MAX_TICKETS)
            .time_to_live(FOR * 10);
        Self(tickets.build())
    }
}

impl Tickets {
    /// A ticket for a node.
    pub(super) fn make(&self, node: NodeId) -> Bytes {
        let ticket: [u8; 16] = rand::random();
        self.0.insert(ticket, node);
        Bytes::copy_from_slice(&ticket)
    }

    /// Whose ticket it is; it is good for nothing more.
    pub(super) fn take(&self, ticket: &[u8]) -> Option<NodeId> {
        self.0.remove(&<[u8; 16]>::try_from(ticket).ok()?)
    }
}

/// Counts what arrives.
#[derive(Debug, Default)]
pub(super) struct Meter {
    settled: Option<(Duration, u64)>,
    total: u64,
    last: Duration,
}

impl Meter {
    /// So many bytes came, so long after the first.
    pub(super) fn add(&mut self, bytes: usize, at: Duration) {
        self.total += bytes as u64;
        self.last = at;
        if self.settled.is_none() && at >= SETTLING {
            self.settled = Some((at, self.total));
        }
    }

    /// Whether enough came.
    pub(super) fn is_done(&self) -> bool {
        self.total >= BYTES || self.last >= FOR
    }

    /// The rate after the start, or over all when it was over so soon.
    pub(super) fn bitrate(&self) -> Bitrate {
        let (from, before) = self
            .settled
            .filter(|(at, _)| self.last.saturating_sub(*at) >= SETTLING)
            .unwrap_or((Duration::ZERO, 0));
        let micros = self.last.saturating_sub(from).as_micros().max(1_000);
        let bits = u128::from(self.total.saturating_sub(before)) * 8;
        let bps = bits * 1_000_000 / micros;
        Bitrate::new(u64::try_from(bps).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(bytes: usize, every: Duration) -> u64 {
        let mut meter = Meter::default();
        let mut at = Duration::ZERO;
        while !meter.is_done() {
            meter.add(bytes, at);
            at += every;
        }
        meter.bitrate().get()
    }

    #[test]
    fn what_arrives_is_counted_and_timed() {
        // 10,000 bytes each 10 ms are 8 Mbit/s.
        let slow = measured(10_000, Duration::from_millis(10));
        assert!((7_900_000..8_100_000).contains(&slow), "{slow}");
        // Over before it settles.
        let fast = measured(64 * 1024, Duration::from_micros(500));
        assert!(fast > 900_000_000, "{fast}");
        assert!(measured(BYTES as usize, Duration::from_secs(1)) > 0);
    }

    #[test]
    fn what_is_missing_or_old_is_measured_again() {
        let hour = Duration::from_secs(3600);
        assert_eq!(due_in(None), Duration::ZERO);
        assert_eq!(due_in(Some(hour * 2)), hour * 4);
        assert_eq!(due_in(Some(hour * 7)), Duration::ZERO);
    }

    #[test]
    fn a_ticket_is_good_once() {
        let (tickets, node) = (Tickets::default(), NodeId::new());
        let ticket = tickets.make(node);
        assert_eq!(tickets.take(&ticket), Some(node));
        assert_eq!(tickets.take(&ticket), None);
        assert_eq!(tickets.take(b"short"), None);
    }
}
