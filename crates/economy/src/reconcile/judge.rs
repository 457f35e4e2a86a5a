//! What a node's claim says of the node, beside its viewer's receipts.

use types::{ByteCount, NodeId};

use super::{
    facts::{Finding, Oddity, SessionFacts},
    growth::Growth,
};

/// A claim that exceeds receipts by less is no wonder: what was on its way when the viewer left.
const WONDER_BYTES: u64 = 4 * 1024 * 1024;
/// The same in percent of the receipts.
const WONDER_PERCENT: u64 = 10;
/// What is claimed within this time after the viewer's last receipt may have had no chance to be signed: a page signs
/// each half minute, and one that dies signs no more.
const UNSIGNED_MS: i64 = 60_000;

/// Bytes of a claim that are to be judged: without those that nobody had a chance to sign for.
pub(super) fn excused(facts: &SessionFacts, claim: &Growth) -> u64 {
    let signed = facts.received.iter().map(|receipt| receipt.at_ms).max();
    let from = signed.unwrap_or(facts.started_ms);
    let lately = claim.until(from.saturating_add(UNSIGNED_MS)) - claim.until(from);
    claim.total() - lately
}

/// `claimed`: what is to be judged of a claim; `silent`: the viewer signed for nothing, from whomever.
pub(super) fn judge(
    node: NodeId,
    is_assigned: bool,
    silent: bool,
    claimed: u64,
    received: u64,
) -> Option<Finding> {
    let wonder = (received / 100 * WONDER_PERCENT).saturating_add(WONDER_BYTES);
    let (oddity, bytes) = match (is_assigned, silent) {
        (false, _) if claimed > 0 => (Oddity::Unassigned, claimed),
        (false, _) if received > 0 => (Oddity::Foreign, received),
        (true, true) if claimed > wonder => (Oddity::Unsigned, claimed),
        (true, false) if claimed > received.saturating_add(wonder) => {
            (Oddity::Inflated, claimed - received)
        }
        _ => return None,
    };
    Some(Finding {
        node,
        oddity,
        bytes: ByteCount::new(bytes),
    })
}
