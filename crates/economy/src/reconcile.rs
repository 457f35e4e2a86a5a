//! What counts of what was said: one session's assignments, receipts and delivery reports against one another.
//!
//! Everything is compared as sums up to the end of each minute, and a minute's contribution is what the sum grew
//! by. So nothing is lost at the edges of minutes, the order in which facts come does not matter, and late facts
//! are taken as if they had come in time.

use std::collections::{BTreeMap, BTreeSet};

use types::{Bitrate, ByteCount, NodeId, RunId};

/// One minute, in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// Media that a viewer may take beyond the time it watches: the window, when it begins.
const BURST_MS: i64 = 30_000;
/// How far a stream's bitrate may exceed the highest that was told while a node was given, in percent of it.
const SLACK_PERCENT: u128 = 150;
/// The time before the first receipt that it may speak of.
const FIRST_SPAN_MS: i64 = 60_000;
/// A claim that exceeds receipts by less is no wonder: what was on its way when the viewer left.
const WONDER_BYTES: u64 = 4 * 1024 * 1024;
/// The same in percent of the receipts.
const WONDER_PERCENT: u64 = 10;
/// What is claimed within this time after the viewer's last receipt may have had no chance to be signed: a page signs
/// each half minute, and one that dies signs no more.
const UNSIGNED_MS: i64 = 60_000;

/// A node was given to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// Which.
    pub node: NodeId,
    /// Unix time in milliseconds.
    pub from_ms: i64,
    /// Unix time in milliseconds; `None`: it still is.
    pub until_ms: Option<i64>,
    /// The stream's.
    pub bitrate: Bitrate,
    /// They share a household or an account: it carries, and earns nothing.
    pub own: bool,
}

/// What the viewer signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Which count of the session.
    pub epoch: u32,
    /// Rises within an epoch.
    pub counter: u64,
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// Cumulative.
    pub nodes: Vec<(NodeId, ByteCount)>,
    /// Cumulative.
    pub peers: ByteCount,
    /// Cumulative.
    pub edge: ByteCount,
}

/// What a node said it uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// Who.
    pub node: NodeId,
    /// Which run of it.
    pub run: RunId,
    /// Rises within a run.
    pub sequence: u64,
    /// Unix time in milliseconds.
    pub from_ms: i64,
    /// Unix time in milliseconds.
    pub to_ms: i64,
    /// So much.
    pub bytes: ByteCount,
    /// Its report could not be: it came from the future, or too late.
    pub refused: bool,
}

/// All that is known of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// When it began, Unix time in milliseconds.
    pub started_ms: i64,
    /// When it ended, if it did.
    pub ended_ms: Option<i64>,
    /// Until when facts may speak, Unix time in milliseconds: now.
    pub now_ms: i64,
    /// Its nodes.
    pub assigned: Vec<Assigned>,
    /// Its receipts.
    pub received: Vec<Received>,
    /// Its nodes' reports.
    pub claimed: Vec<Claimed>,
}

/// What one node did for the session in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Verified.
    pub carried: ByteCount,
    /// Of that, what may earn.
    pub earning: ByteCount,
}

/// Where the session's bytes came from in one minute, as its viewer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sources {
    /// From friends' nodes.
    pub friends: ByteCount,
    /// From other viewers.
    pub peers: ByteCount,
    /// From edges.
    pub edge: ByteCount,
}

/// What does not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Oddity {
    /// A node claims bytes for a session it was not given.
    Unassigned,
    /// A node claims much more than the viewer verified.
    Inflated,
    /// A node claims bytes for a session that signed for nothing at all. That is the viewer's doing, or its page's
    /// end, as likely as the node's: it counts for nothing, and against nobody.
    Unsigned,
    /// Two reports of one run speak of the same time.
    Overlap,
    /// A report from the future, or too late.
    Untimely,
    /// A viewer verified more than there was.
    Impossible,
    /// A viewer names a node it was not given.
    Foreign,
}

impl Oddity {
    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::Inflated => "inflated",
            Self::Unsigned => "unsigned",
            Self::Overlap => "overlap",
            Self::Untimely => "untimely",
            Self::Impossible => "impossible",
            Self::Foreign => "foreign",
        }
    }
}

/// Something that does not add up, to be kept as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// About which node.
    pub node: NodeId,
    /// What.
    pub oddity: Oddity,
    /// How much does not count for it.
    pub bytes: ByteCount,
}

/// What counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// By node and the minute's start, Unix time in milliseconds.
    pub contributions: BTreeMap<(NodeId, i64), Contribution>,
    /// By the minute's start.
    pub sources: BTreeMap<i64, Sources>,
    /// What does not add up.
    pub findings: Vec<Finding>,
}

/// A sum over time, as it grows: bytes between two times, evenly.
#[derive(Debug, Clone, Default)]
struct Growth(Vec<(i64, i64, u64)>);

impl Growth {
    fn add(&mut self, from_ms: i64, to_ms: i64, bytes: u64) {
        if bytes > 0 {
            self.0.push((from_ms.min(to_ms), to_ms, bytes));
        }
    }

    /// The sum up to a time.
    fn until(&self, at_ms: i64) -> u64 {
        let parts = self.0.iter().map(|(from, to, bytes)| {
            if at_ms >= *to {
                *bytes
            } else if at_ms <= *from {
                0
            } else {
                let part = u128::from(*bytes) * u128::from((at_ms - from).unsigned_abs())
                    / u128::from((to - from).unsigned_abs());
                u64::try_from(part).unwrap_or(u64::MAX)
            }
        });
        parts.fold(0, u64::saturating_add)
    }

    /// The sum up to the end of each minute from `first` on. Each part is looked at once per minute it lasts.
    fn by_minute(&self, first: i64, minutes: usize) -> Vec<u64> {
        let mut sums = vec![0_u64; minutes];
        let place = |at: i64| usize::try_from((at - first).div_euclid(MINUTE_MS)).unwrap_or(0);
        for (from, to, bytes) in &self.0 {
            let part = Self(vec![(*from, *to, *bytes)]);
            let mut before = 0;
            // The last minute is the one by whose end all of it is there.
            for at in place((*from).min(*to - 1))..=place(*to - 1) {
                let Some(sum) = sums.get_mut(at) else {
                    break;
                };
                let end = first.saturating_add((at as i64 + 1).saturating_mul(MINUTE_MS));
                let until = part.until(end);
                *sum = sum.saturating_add(until - before);
                before = until;
            }
        }
        let mut all = 0_u64;
        for sum in &mut sums {
            all = all.saturating_add(*sum);
            *sum = all;
        }
        sums
    }

    fn total(&self) -> u64 {
        let bytes = self.0.iter().map(|(_, _, bytes)| *bytes);
        bytes.fold(0, u64::saturating_add)
    }

    fn span(&self) -> Option<(i64, i64)> {
        let from = self.0.iter().map(|(from, _, _)| *from).min()?;
        let to = self.0.iter().map(|(_, to, _)| *to).max()?;
        Some((from, to))
    }
}

/// Bytes that a bitrate makes in a time.
fn bytes_in(bitrate: Bitrate, millis: i64) -> u64 {
    let millis = u128::try_from(millis).unwrap_or(0);
    let bytes = u128::from(bitrate.get()) * millis * SLACK_PERCENT / (8 * 1000 * 100);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What a node could have delivered at most while it was given, until a time.
fn possible_while(given: &Assigned, at_ms: i64) -> u64 {
    let until = given.until_ms.unwrap_or(at_ms).min(at_ms);
    bytes_in(
        given.bitrate,
        until.saturating_sub(given.from_ms) + BURST_MS,
    )
}

/// What a node could have delivered at most, asked for times that rise.
struct Possible<'a> {
    /// By their beginnings.
    to_come: std::iter::Peekable<std::vec::IntoIter<&'a Assigned>>,
    running: Vec<&'a Assigned>,
    over: u64,
}

impl<'a> Possible<'a> {
    fn of(assigned: &'a [Assigned], node: NodeId) -> Self {
        let spans = assigned.iter().filter(|given| given.node == node);
        let mut spans: Vec<&Assigned> = spans.collect();
        spans.sort_by_key(|given| given.from_ms);
        Self {
            to_come: spans.into_iter().peekable(),
            running: Vec::new(),
            over: 0,
        }
    }

    fn until(&mut self, at_ms: i64) -> u64 {
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

fn minute(at_ms: i64) -> i64 {
    at_ms.div_euclid(MINUTE_MS) * MINUTE_MS
}

/// How many minutes a time lasts that begins with a minute.
fn minutes(first: i64, until_ms: i64) -> usize {
    usize::try_from((until_ms - first).div_euclid(MINUTE_MS) + 1).unwrap_or(0)
}

/// What the viewer verified, by who sent it.
#[derive(Debug, Default)]
struct Verified {
    nodes: BTreeMap<NodeId, Growth>,
    peers: Growth,
    edge: Growth,
}

/// Cumulative counts as growth: only what exceeds the largest count so far adds anything.
fn verified(facts: &SessionFacts) -> Verified {
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
fn claims(facts: &SessionFacts) -> (BTreeMap<NodeId, Growth>, Vec<Finding>) {
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

/// Bytes that the session could take at most over all its sources.
fn possible_in_all(facts: &SessionFacts) -> u64 {
    let most = facts.assigned.iter().map(|given| given.bitrate).max();
    // Who signs after its end came back.
    let signed = facts.received.iter().map(|receipt| receipt.at_ms).max();
    let signed = signed.map_or(facts.started_ms, |at| at.min(facts.now_ms));
    let ended = facts.ended_ms.map_or(facts.now_ms, |at| at.max(signed));
    let watched = ended.saturating_sub(facts.started_ms) + BURST_MS;
    most.map_or(0, |bitrate| bytes_in(bitrate, watched))
}

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

/// A part of receipts that together tell of more than there was: its share of what there was.
fn fair(part: u64, told: u128, most: u64) -> u64 {
    if told <= u128::from(most) {
        return part;
    }
    let share = u128::from(part) * u128::from(most) / told;
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Bytes of a claim that are to be judged: without those that nobody had a chance to sign for.
fn excused(facts: &SessionFacts, claim: &Growth) -> u64 {
    let signed = facts.received.iter().map(|receipt| receipt.at_ms).max();
    let from = signed.unwrap_or(facts.started_ms);
    let lately = claim.until(from.saturating_add(UNSIGNED_MS)) - claim.until(from);
    claim.total() - lately
}

/// `claimed`: what is to be judged of a claim; `silent`: the viewer signed for nothing, from whomever.
fn judge(
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

/// Where bytes came from by the minute. Nodes that were not given are no friends of this session, and of what is
/// more than there was, `fair` leaves each its share.
fn sources(
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

#[cfg(test)]
mod tests;
