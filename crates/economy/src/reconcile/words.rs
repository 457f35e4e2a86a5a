//! What viewers and nodes say, as sums that grow: without what can't be.

use std::collections::BTreeMap;

use types::{ByteCount, NodeId, RunId};

use super::{
    facts::{Claimed, Finding, Oddity, Received, SessionFacts},
    growth::Growth,
};

/// The time before the first receipt that it may speak of.
const FIRST_SPAN_MS: i64 = 60_000;

/// What the viewer verified, by who sent it.
#[derive(Debug, Default)]
pub(super) struct Verified {
    pub(super) nodes: BTreeMap<NodeId, Growth>,
    pub(super) peers: Growth,
    pub(super) edge: Growth,
}

/// Cumulative counts as growth: only what exceeds the largest count so far adds anything.
pub(super) fn verified(facts: &SessionFacts) -> Verified {
    let mut receipts: Vec<&Received> = facts.received.iter().collect();
    receipts.sort_by_key(|receipt| (receipt.epoch, receipt.counter));
    let mut verified = Verified::default();
    let mut epoch = None;
    let mut most: BTreeMap<NodeId, u64> = BTreeMap::new();
    let (mut peers, mut edge, mut before) = (0_u64, 0_u64, 0_i64);
    let mut at = facts.started_ms;
    for receipt in receipts {
        // A page's clock is its own: what it says later is from later, and of no time before there was a session.
        at = receipt.at_ms.min(facts.now_ms).max(at);
        if epoch != Some(receipt.epoch) {
            epoch = Some(receipt.epoch);
            most.clear();
            (peers, edge) = (0, 0);
            before = facts.started_ms.max(at - FIRST_SPAN_MS);
        }
        let from = before.min(at);
        for (node, bytes) in &receipt.nodes {
            let known = most.entry(*node).or_default();
            let growth = verified.nodes.entry(*node).or_default();
            growth.add(from, at, bytes.get().saturating_sub(*known));
            *known = (*known).max(bytes.get());
        }
        verified
            .peers
            .add(from, at, receipt.peers.get().saturating_sub(peers));
        verified
            .edge
            .add(from, at, receipt.edge.get().saturating_sub(edge));
        peers = peers.max(receipt.peers.get());
        edge = edge.max(receipt.edge.get());
        before = at;
    }
    verified
}

/// What nodes claim, without what can't be; and what can't be.
pub(super) fn claims(facts: &SessionFacts) -> (BTreeMap<NodeId, Growth>, Vec<Finding>) {
    let mut claims: Vec<&Claimed> = facts.claimed.iter().collect();
    claims.sort_by_key(|claim| (claim.node, claim.run, claim.sequence));
    claims.dedup_by_key(|claim| (claim.node, claim.run, claim.sequence));
    let mut grown: BTreeMap<NodeId, Growth> = BTreeMap::new();
    let mut odd: BTreeMap<(NodeId, Oddity), u64> = BTreeMap::new();
    let mut last: Option<(NodeId, RunId, i64)> = None;
    for claim in claims {
        let bytes = claim.bytes.get();
        let mut refuse = |oddity| {
            let sum = odd.entry((claim.node, oddity)).or_default();
            *sum = sum.saturating_add(bytes);
        };
        if claim.refused || claim.to_ms < claim.from_ms {
            refuse(Oddity::Untimely);
            continue;
        }
        let overlaps = last.is_some_and(|(node, run, until)| {
            (node, run) == (claim.node, claim.run) && claim.from_ms < until
        });
        if overlaps {
            refuse(Oddity::Overlap);
            continue;
        }
        last = Some((claim.node, claim.run, claim.to_ms));
        let growth = grown.entry(claim.node).or_default();
        growth.add(claim.from_ms, claim.to_ms, bytes);
    }
    let findings = odd.into_iter().map(|((node, oddity), bytes)| Finding {
        node,
        oddity,
        bytes: ByteCount::new(bytes),
    });
    (grown, findings.collect())
}
