//! Nodes that one session is not given for now: those it could not reach, that were too slow for it, or that it
//! accuses. A lone friend is back soon; whoever fails again and again stays away longer each time.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use types::NodeId;

/// The first rest; each further one is twice as long.
const REST: Duration = Duration::from_secs(10);
/// No rest is longer, and what was is forgotten so long after a rest's end.
const LONGEST: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    lasts: Duration,
}

/// Who rests, and who did lately. Bounded by the nodes that a session was given within some twenty minutes.
#[derive(Debug, Default)]
pub(super) struct Excluded(HashMap<NodeId, Rest>);

impl Excluded {
    /// It failed this session.
    pub(super) fn rest(&mut self, node: NodeId, now: Instant) {
        self.forget(now);
        let before = self.0.get(&node).map(|rest| rest.lasts);
        let lasts = before.map_or(REST, |lasts| (lasts * 2).min(LONGEST));
        self.put(node, lasts, now);
    }

    /// This session says that its bytes were wrong: another node is to serve it, whoever is right.
    pub(super) fn accused(&mut self, node: NodeId, now: Instant) {
        self.forget(now);
        self.put(node, LONGEST, now);
    }

    fn forget(&mut self, now: Instant) {
        self.0
            .retain(|_, rest| now.saturating_duration_since(rest.until) < LONGEST);
    }

    fn put(&mut self, node: NodeId, lasts: Duration, now: Instant) {
        let until = now + lasts;
        self.0.insert(node, Rest { until, lasts });
    }

    pub(super) fn has(&self, node: NodeId, now: Instant) -> bool {
        self.0.get(&node).is_some_and(|rest| rest.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rest_is_longer_and_the_past_is_forgotten() {
        let (node, start) = (NodeId::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut excluded = Excluded::default();
        assert!(!excluded.has(node, at(0)));
        excluded.rest(node, at(0));
        assert!(excluded.has(node, at(9)) && !excluded.has(node, at(10)));
        excluded.rest(node, at(20));
        assert!(excluded.has(node, at(39)) && !excluded.has(node, at(40)));
        for _ in 0..10 {
            excluded.rest(node, at(50));
        }
        assert!(excluded.has(node, at(649)) && !excluded.has(node, at(650)));
        excluded.rest(node, at(1250));
        assert!(!excluded.has(node, at(1260)));
        excluded.accused(node, at(1300));
        assert!(excluded.has(node, at(1899)) && !excluded.has(node, at(1900)));
    }
}
