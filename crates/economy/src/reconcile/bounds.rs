//! What there could be at most, whatever anybody says.

use types::{Bitrate, NodeId};

use super::facts::{Assigned, SessionFacts};

/// Media that a viewer may take beyond the time it watches: the window, when it begins.
pub(super) const BURST_MS: i64 = 30_000;
/// How far a stream's bitrate may exceed the highest that was told while a node was given, in percent of it.
const SLACK_PERCENT: u128 = 150;

/// Bytes that a bitrate makes in a time.
pub(super) fn bytes_in(bitrate: Bitrate, millis: i64) -> u64 {
    let millis = u128::try_from(millis).unwrap_or(0);
    let bytes = u128::from(bitrate.get()) * millis * SLACK_PERCENT / (8 * 1000 * 100);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What a node could have delivered at most while it was given, until a time.
pub(super) fn possible_while(given: &Assigned, at_ms: i64) -> u64 {
    let until = given.until_ms.unwrap_or(at_ms).min(at_ms);
    bytes_in(
        given.bitrate,
        until.saturating_sub(given.from_ms) + BURST_MS,
    )
}

/// What a node could have delivered at most, asked for times that rise.
pub(super) struct Possible<'a> {
    /// By their beginnings.
    to_come: std::iter::Peekable<std::vec::IntoIter<&'a Assigned>>,
    running: Vec<&'a Assigned>,
    over: u64,
}

impl<'a> Possible<'a> {
    pub(super) fn of(assigned: &'a [Assigned], node: NodeId) -> Self {
        let spans = assigned.iter().filter(|given| given.node == node);
        let mut spans: Vec<&Assigned> = spans.collect();
        spans.sort_by_key(|given| given.from_ms);
        Self {
            to_come: spans.into_iter().peekable(),
            running: Vec::new(),
            over: 0,
        }
    }

    pub(super) fn until(&mut self, at_ms: i64) -> u64 {
        while let Some(given) = self.to_come.next_if(|given| given.from_ms < at_ms) {
            self.running.push(given);
        }
        let over = &mut self.over;
        self.running.retain(|given| {
            let runs = given.until_ms.is_none_or(|until| until > at_ms);
            if !runs {
                *over = over.saturating_add(possible_while(given, at_ms));
            }
            runs
        });
        let running = self.running.iter();
        running.fold(*over, |sum, given| {
            sum.saturating_add(possible_while(given, at_ms))
        })
    }
}

/// Bytes that the session could take at most over all its sources.
pub(super) fn possible_in_all(facts: &SessionFacts) -> u64 {
    let most = facts.assigned.iter().map(|given| given.bitrate).max();
    // Who signs after its end came back.
    let signed = facts.received.iter().map(|receipt| receipt.at_ms).max();
    let signed = signed.map_or(facts.started_ms, |at| at.min(facts.now_ms));
    let ended = facts.ended_ms.map_or(facts.now_ms, |at| at.max(signed));
    let watched = ended.saturating_sub(facts.started_ms) + BURST_MS;
    most.map_or(0, |bitrate| bytes_in(bitrate, watched))
}

/// A part of receipts that together tell of more than there was: its share of what there was.
pub(super) fn fair(part: u64, told: u128, most: u64) -> u64 {
    if told <= u128::from(most) {
        return part;
    }
    let share = u128::from(part) * u128::from(most) / told;
    u64::try_from(share).unwrap_or(u64::MAX)
}
