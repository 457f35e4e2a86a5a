//! Which node serves a viewer: drawn by chance, so that neither chooses the other (design §5).
//!
//! Pure: candidates in, one out. Until there is trust, all enrolled nodes weigh alike but for what they can
//! upload and how far away they are.

use std::time::Duration;

use types::{Bitrate, NodeId};

/// Of its measured upload, a node is given so much: the rest is for retransmissions, and for whoever moves to it.
const USABLE_PERCENT: u64 = 70;
/// What a node is believed to upload before it was measured.
pub(super) const UNMEASURED: Bitrate = Bitrate::new(5_000_000);
/// Added to every round trip, so that a near node is not all there is.
const NEAR: Duration = Duration::from_millis(20);
/// The round trip of a node that was not measured.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(100);

/// What a node can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capacity {
    /// As the coordinator timed it.
    pub(super) measured: Option<Bitrate>,
    /// As its friend set it.
    pub(super) limit: Option<Bitrate>,
    /// Given away already.
    pub(super) reserved: Bitrate,
}

impl Capacity {
    /// The most that may be given away.
    pub(super) fn most(self) -> Bitrate {
        let measured = self.measured.unwrap_or(UNMEASURED);
        let able = self
            .limit
            .map_or(measured.get(), |limit| limit.get().min(measured.get()));
        Bitrate::new(able / 100 * USABLE_PERCENT)
    }

    /// Whether so much more may be given away.
    pub(super) fn has(self, wanted: Bitrate) -> bool {
        self.reserved.get().saturating_add(wanted.get()) <= self.most().get()
    }
}

/// A node that may be drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) node: NodeId,
    pub(super) capacity: Capacity,
    pub(super) round_trip: Option<Duration>,
}

impl Candidate {
    fn weight(&self) -> f64 {
        let away = self.round_trip.unwrap_or(UNKNOWN_ROUND_TRIP) + NEAR;
        self.capacity.most().get() as f64 / away.as_secs_f64()
    }
}

/// Draws one; `chance` is in 0..1.
pub(super) fn draw(candidates: &[Candidate], chance: f64) -> Option<NodeId> {
    let total: f64 = candidates.iter().map(Candidate::weight).sum();
    let mut left = total * chance;
    for candidate in candidates {
        left -= candidate.weight();
        if left < 0.0 {
            return Some(candidate.node);
        }
    }
    candidates.last().map(|last| last.node)
}

/// How many nodes may pull a stream at once: each costs the edge one more copy, which some viewers must make up
/// for (relaying must save).
pub(super) fn most_pulling(viewers: usize) -> usize {
    (viewers / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(measured: u64, millis: u64) -> Candidate {
        Candidate {
            node: NodeId::new(),
            capacity: Capacity {
                measured: Some(Bitrate::new(measured)),
                limit: None,
                reserved: Bitrate::ZERO,
            },
            round_trip: Some(Duration::from_millis(millis)),
        }
    }

    #[test]
    fn chance_follows_upload_and_distance() {
        let (wide, narrow) = (candidate(40_000_000, 20), candidate(10_000_000, 20));
        let (near, far) = (candidate(10_000_000, 5), candidate(10_000_000, 480));
        let share = |of: Candidate, other: Candidate| {
            let drawn = (0..1000).filter(|n| {
                let chance = f64::from(*n) / 1000.0;
                draw(&[of, other], chance) == Some(of.node)
            });
            drawn.count()
        };
        assert_eq!(share(wide, narrow), 800);
        assert!(share(near, far) > 940);
        assert!(share(far, near) > 0, "everybody gets a chance");
        assert_eq!(draw(&[], 0.5), None);
    }

    #[test]
    fn no_node_is_oversold() {
        let mut capacity = candidate(10_000_000, 20).capacity;
        assert_eq!(capacity.most(), Bitrate::new(7_000_000));
        assert!(capacity.has(Bitrate::new(7_000_000)));
        capacity.reserved = Bitrate::new(4_000_000);
        assert!(!capacity.has(Bitrate::new(3_000_001)));
        capacity.limit = Some(Bitrate::new(5_000_000));
        assert!(!capacity.has(Bitrate::ZERO));
        // Claiming more than was measured gives nothing.
        capacity.limit = Some(Bitrate::new(1_000_000_000));
        assert_eq!(capacity.most(), Bitrate::new(7_000_000));
    }

    #[test]
    fn a_copy_is_pulled_only_for_viewers_who_make_up_for_it() {
        assert_eq!([0, 1, 2, 3, 6, 30].map(most_pulling), [1, 1, 1, 1, 2, 10]);
    }
}
