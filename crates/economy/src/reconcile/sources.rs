//! Where a session's bytes came from, for pages that show it.

use std::collections::{BTreeMap, BTreeSet};

use types::{ByteCount, NodeId};

use super::{
    MINUTE_MS,
    facts::{Assigned, Sources},
    growth::{Growth, minute, minutes},
    words::Verified,
};

/// Where bytes came from by the minute. Nodes that were not given are no friends of this session, and of what is
/// more than there was, `fair` leaves each its share.
pub(super) fn sources(
    verified: &Verified,
    assigned: &[Assigned],
    fair: impl Fn(u64) -> u64,
) -> BTreeMap<i64, Sources> {
    let given: BTreeSet<NodeId> = assigned.iter().map(|given| given.node).collect();
    let nodes = verified.nodes.iter();
    let friends = nodes.filter(|(node, _)| given.contains(node));
    let friends: Vec<&Growth> = friends.map(|(_, growth)| growth).collect();
    let all = friends
        .iter()
        .copied()
        .chain([&verified.peers, &verified.edge]);
    let spans = all.filter_map(Growth::span);
    let Some((from, to)) = spans.reduce(|(a, b), (c, d)| (a.min(c), b.max(d))) else {
        return BTreeMap::new();
    };
    let first = minute(from);
    let length = minutes(first, to);
    let grown = |growth: &Growth| {
        let sums = growth.by_minute(first, length).into_iter().map(&fair);
        let mut before = 0;
        let grown = sums.map(|sum| {
            let more = sum - before;
            before = sum;
            more
        });
        grown.collect::<Vec<u64>>()
    };
    let (peers, edge) = (grown(&verified.peers), grown(&verified.edge));
    let mut by_friends = vec![0_u64; length];
    for growth in friends {
        for (sum, more) in by_friends.iter_mut().zip(grown(growth)) {
            *sum = sum.saturating_add(more);
        }
    }
    let sums = by_friends.into_iter().zip(peers).zip(edge);
    let starts = std::iter::successors(Some(first), |at| Some(at + MINUTE_MS));
    let minutes = starts.zip(sums).map(|(at, ((friends, peers), edge))| {
        let one = Sources {
            friends: ByteCount::new(friends),
            peers: ByteCount::new(peers),
            edge: ByteCount::new(edge),
        };
        (at, one)
    });
    minutes
        .filter(|(_, one)| *one != Sources::default())
        .collect()
}
