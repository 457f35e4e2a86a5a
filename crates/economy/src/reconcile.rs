//! What counts of what was said: one session's assignments, receipts and delivery reports against one another.
//!
//! Everything is compared as sums up to the end of each minute, and a minute's contribution is what the sum grew
//! by. So nothing is lost at the edges of minutes, the order in which facts come does not matter, and late facts
//! are taken as if they had come in time.

mod bounds;
mod facts;
mod growth;
mod judge;
mod sources;
mod words;

use std::collections::BTreeSet;

use types::{ByteCount, NodeId};

pub use self::facts::{
    Assigned, Claimed, Contribution, Finding, Oddity, Received, Reconciled, SessionFacts, Sources,
};
use self::{
    bounds::{Possible, fair, possible_in_all},
    growth::{Growth, minute, minutes},
    judge::{excused, judge},
    sources::sources,
    words::{claims, verified},
};

/// One minute, in milliseconds.
pub const MINUTE_MS: i64 = 60_000;

/// Reconciles one session. The same facts always give the same answer, in whatever order they stand.
pub fn reconcile(facts: &SessionFacts) -> Reconciled {
    let verified = verified(facts);
    let (claimed, mut findings) = claims(facts);
    let mut reconciled = Reconciled::default();
    let nodes: BTreeSet<NodeId> = claimed
        .keys()
        .chain(verified.nodes.keys())
        .copied()
        .collect();
    let nothing = Growth::default();
    let told: u128 = verified
        .nodes
        .values()
        .chain([&verified.peers, &verified.edge])
        .map(|growth| u128::from(growth.total()))
        .sum();
    let most = possible_in_all(facts);
    for node in nodes {
        let claim = claimed.get(&node).unwrap_or(&nothing);
        let receipt = verified.nodes.get(&node).unwrap_or(&nothing);
        let is_assigned = facts.assigned.iter().any(|given| given.node == node);
        let judged = if is_assigned {
            excused(facts, claim)
        } else {
            claim.total()
        };
        let silent = told == 0;
        findings.extend(judge(node, is_assigned, silent, judged, receipt.total()));
        if !is_assigned {
            continue;
        }
        let own = facts
            .assigned
            .iter()
            .any(|given| given.node == node && given.own);
        let Some((from, to)) = receipt.span() else {
            continue;
        };
        let first = minute(from);
        let (mut at, mut before) = (first, 0_u64);
        let end = claim.span().map_or(to, |(_, until)| until.max(to));
        let length = minutes(first, end);
        let (claims, receipts) = (
            claim.by_minute(first, length),
            receipt.by_minute(first, length),
        );
        let mut possible = Possible::of(&facts.assigned, node);
        for (claimed, received) in claims.into_iter().zip(receipts) {
            let until = at + MINUTE_MS;
            let counted = claimed
                .min(fair(received, told, most))
                .min(possible.until(until))
                .max(before);
            if counted > before {
                let carried = ByteCount::new(counted - before);
                let earning = if own { ByteCount::ZERO } else { carried };
                let contribution = Contribution { carried, earning };
                reconciled.contributions.insert((node, at), contribution);
            }
            before = counted;
            at = until;
        }
        let could = possible.until(end + MINUTE_MS);
        if receipt.total() > could {
            findings.push(Finding {
                node,
                oddity: Oddity::Impossible,
                bytes: ByteCount::new(receipt.total() - could),
            });
        }
    }
    reconciled.sources = sources(&verified, &facts.assigned, |part| fair(part, told, most));
    reconciled.findings = findings;
    reconciled
}

#[cfg(test)]
mod tests;
