use proptest::prelude::*;

use types::{Bitrate, RunId};

use super::{
    bounds::{BURST_MS, bytes_in},
    *,
};

const START: i64 = 1_700_000_000_000 - 1_700_000_000_000 % MINUTE_MS;

fn node(n: u8) -> NodeId {
    format!("00000000-0000-7000-8000-0000000000{n:02x}")
        .parse()
        .unwrap()
}

fn run(n: u8) -> RunId {
    format!("00000000-0000-7000-9000-0000000000{n:02x}")
        .parse()
        .unwrap()
}

fn assigned(n: u8) -> Assigned {
    Assigned {
        node: node(n),
        from_ms: START,
        until_ms: None,
        bitrate: Bitrate::new(4_000_000),
        own: false,
    }
}

fn received(counter: u64, seconds: i64, nodes: &[(u8, u64)]) -> Received {
    let nodes = nodes
        .iter()
        .map(|(n, bytes)| (node(*n), ByteCount::new(*bytes)));
    Received {
        epoch: 1,
        counter,
        at_ms: START + seconds * 1000,
        nodes: nodes.collect(),
        peers: ByteCount::ZERO,
        edge: ByteCount::ZERO,
    }
}

fn claimed(n: u8, sequence: u64, bytes: u64) -> Claimed {
    let from_ms = START + (sequence as i64 - 1) * 10_000;
    Claimed {
        node: node(n),
        run: run(1),
        sequence,
        from_ms,
        to_ms: from_ms + 10_000,
        bytes: ByteCount::new(bytes),
        refused: false,
    }
}

fn facts(assigned: Vec<Assigned>, received: Vec<Received>, claimed: Vec<Claimed>) -> SessionFacts {
    SessionFacts {
        started_ms: START,
        ended_ms: None,
        now_ms: START + 3_600_000,
        assigned,
        received,
        claimed,
    }
}

fn carried(reconciled: &Reconciled, n: u8) -> u64 {
    let of_node = reconciled.contributions.iter();
    of_node
        .filter(|((of, _), _)| *of == node(n))
        .map(|(_, contribution)| contribution.carried.get())
        .sum()
}

fn odd(reconciled: &Reconciled) -> Vec<Oddity> {
    reconciled
        .findings
        .iter()
        .map(|finding| finding.oddity)
        .collect()
}

#[test]
fn what_both_sides_say_counts_to_the_byte() {
    // Ten seconds at 4 Mbit/s are 5 MB; three minutes of it.
    let claims = (1..=18).map(|n| claimed(1, n, 5_000_000)).collect();
    let receipts = (1..=6)
        .map(|n| received(n, n as i64 * 30, &[(1, n * 15_000_000)]))
        .collect();
    let reconciled = reconcile(&facts(vec![assigned(1)], receipts, claims));
    assert_eq!(carried(&reconciled, 1), 90_000_000);
    assert_eq!(reconciled.contributions.len(), 3);
    assert!(reconciled.findings.is_empty(), "{:?}", reconciled.findings);
    let friends: u64 = reconciled.sources.values().map(|s| s.friends.get()).sum();
    assert_eq!(friends, 90_000_000);
}

#[test]
fn the_lesser_word_counts() {
    let honest = received(1, 60, &[(1, 10_000_000)]);
    let inflated = (1..=6).map(|n| claimed(1, n, 5_000_000)).collect();
    let reconciled = reconcile(&facts(vec![assigned(1)], vec![honest], inflated));
    assert_eq!(carried(&reconciled, 1), 10_000_000);
    assert_eq!(odd(&reconciled), [Oddity::Inflated]);

    let generous = received(1, 60, &[(1, 30_000_000)]);
    let modest = vec![claimed(1, 1, 5_000_000)];
    let reconciled = reconcile(&facts(vec![assigned(1)], vec![generous], modest));
    assert_eq!(carried(&reconciled, 1), 5_000_000);
}

#[test]
fn a_claim_is_judged_by_what_could_be_signed() {
    // Half a minute behind, as pages sign: nothing is odd, and when the page dies just then, nothing is either.
    let claims = |seconds: u64| {
        (1..=seconds / 10)
            .map(|n| claimed(1, n, 5_000_000))
            .collect()
    };
    let receipt = received(1, 30, &[(1, 15_000_000)]);
    for seconds in [30, 60, 90] {
        let told = facts(vec![assigned(1)], vec![receipt.clone()], claims(seconds));
        assert_eq!(odd(&reconcile(&told)), []);
    }
    let told = facts(vec![assigned(1)], vec![receipt], claims(180));
    assert_eq!(odd(&reconcile(&told)), [Oddity::Inflated]);
    // A viewer that signs for nothing: nothing counts, and the node is not said to lie.
    let told = facts(vec![assigned(1)], vec![], claims(50));
    assert_eq!(odd(&reconcile(&told)), []);
    let told = facts(vec![assigned(1)], vec![], claims(180));
    assert_eq!(odd(&reconcile(&told)), [Oddity::Unsigned]);
    // It signs for what came from elsewhere: then the node lies.
    let mut elsewhere = received(1, 30, &[]);
    elsewhere.edge = ByteCount::new(15_000_000);
    let told = facts(vec![assigned(1)], vec![elsewhere.clone()], claims(180));
    assert_eq!(odd(&reconcile(&told)), [Oddity::Inflated]);
    // For whom it was not given to, nothing is excused.
    let told = facts(vec![], vec![elsewhere], vec![claimed(1, 5, 5_000)]);
    assert_eq!(odd(&reconcile(&told)), [Oddity::Unassigned]);
    // It signs for all at the end: all counts.
    let late = received(1, 180, &[(1, 90_000_000)]);
    let reconciled = reconcile(&facts(vec![assigned(1)], vec![late], claims(180)));
    assert_eq!(
        (carried(&reconciled, 1), odd(&reconciled)),
        (90_000_000, vec![])
    );
}

#[test]
fn what_nobody_assigned_counts_for_nothing() {
    let receipt = received(1, 30, &[(1, 9_000_000), (2, 9_000_000)]);
    let claims = vec![claimed(1, 1, 9_000_000), claimed(2, 1, 9_000_000)];
    let reconciled = reconcile(&facts(vec![assigned(1)], vec![receipt], claims));
    assert_eq!(carried(&reconciled, 1), 9_000_000);
    assert_eq!(carried(&reconciled, 2), 0);
    assert_eq!(odd(&reconciled), [Oddity::Unassigned]);
    // A page that names a node which claims nothing.
    let receipt = received(1, 30, &[(3, 9_000_000)]);
    let reconciled = reconcile(&facts(vec![assigned(1)], vec![receipt], vec![]));
    assert_eq!(odd(&reconciled), [Oddity::Foreign]);
    assert!(reconciled.contributions.is_empty());
}

#[test]
fn a_page_and_its_node_can_not_tell_of_more_than_there_was() {
    let receipt = received(1, 30, &[(1, 10_000_000_000)]);
    let claims = vec![claimed(1, 1, 10_000_000_000)];
    let mut told = facts(vec![assigned(1)], vec![receipt], claims);
    told.ended_ms = Some(START + 30_000);
    told.assigned[0].until_ms = Some(START + 30_000);
    let reconciled = reconcile(&told);
    let most = bytes_in(Bitrate::new(4_000_000), 30_000 + BURST_MS);
    assert_eq!(carried(&reconciled, 1), most);
    assert_eq!(odd(&reconciled), [Oddity::Impossible]);
    // Nor spread over many nodes.
    let all: Vec<(u8, u64)> = (1..=10).map(|n| (n, 1_000_000_000)).collect();
    let claims = (1..=10).map(|n| claimed(n, 1, 1_000_000_000)).collect();
    let mut told = facts(
        (1..=10).map(assigned).collect(),
        vec![received(1, 30, &all)],
        claims,
    );
    told.ended_ms = Some(START + 30_000);
    let reconciled = reconcile(&told);
    let sum: u64 = (1..=10).map(|n| carried(&reconciled, n)).sum();
    assert!(sum <= most, "{sum} of {most}");
}

#[test]
fn replays_overlaps_and_other_times_count_for_nothing() {
    let receipt = received(1, 60, &[(1, 20_000_000)]);
    let mut overlapping = claimed(1, 2, 5_000_000);
    overlapping.from_ms -= 5_000;
    let mut future = claimed(1, 9, 5_000_000);
    future.refused = true;
    let claims = vec![
        claimed(1, 1, 5_000_000),
        claimed(1, 1, 5_000_000),
        overlapping,
        future,
    ];
    let reconciled = reconcile(&facts(vec![assigned(1)], vec![receipt], claims));
    assert_eq!(carried(&reconciled, 1), 5_000_000);
    let mut odd = odd(&reconciled);
    odd.sort();
    assert_eq!(odd, [Oddity::Overlap, Oddity::Untimely]);
}

#[test]
fn a_receipt_that_goes_back_takes_nothing_away() {
    let receipts = vec![
        received(1, 30, &[(1, 9_000_000)]),
        received(2, 60, &[(1, 4_000_000)]),
        received(3, 90, &[(1, 12_000_000)]),
    ];
    let claims = (1..=9).map(|n| claimed(1, n, 2_000_000)).collect();
    let reconciled = reconcile(&facts(vec![assigned(1)], receipts, claims));
    assert_eq!(carried(&reconciled, 1), 12_000_000);
}

#[test]
fn a_page_that_begins_anew_counts_on() {
    let mut second = received(1, 60, &[(1, 5_000_000)]);
    second.epoch = 2;
    let receipts = vec![received(1, 30, &[(1, 5_000_000)]), second];
    let claims = (1..=6).map(|n| claimed(1, n, 2_000_000)).collect();
    let reconciled = reconcile(&facts(vec![assigned(1)], receipts, claims));
    assert_eq!(carried(&reconciled, 1), 10_000_000);
}

#[test]
fn a_household_carries_and_earns_nothing() {
    let mut own = assigned(1);
    own.own = true;
    let receipt = received(1, 10, &[(1, 5_000_000)]);
    let reconciled = reconcile(&facts(
        vec![own],
        vec![receipt],
        vec![claimed(1, 1, 5_000_000)],
    ));
    assert_eq!(carried(&reconciled, 1), 5_000_000);
    assert!(
        reconciled
            .contributions
            .values()
            .all(|c| c.earning == ByteCount::ZERO)
    );
}

#[test]
fn forged_receipts_stay_within_what_there_was() {
    // So many bytes of other viewers that sums of them would overflow, and nodes of nobody's.
    let mut forged = received(1, 30, &[(9, i64::MAX as u64)]);
    forged.peers = ByteCount::new(i64::MAX as u64);
    forged.edge = ByteCount::new(u64::MAX);
    let mut told = facts(vec![assigned(1)], vec![forged], vec![]);
    told.ended_ms = Some(START + 30_000);
    let reconciled = reconcile(&told);
    let most = bytes_in(Bitrate::new(4_000_000), 30_000 + BURST_MS);
    let sums = reconciled.sources.values();
    let sum: u64 = sums
        .map(|one| one.friends.get() + one.peers.get() + one.edge.get())
        .sum();
    assert!(sum <= most, "{sum} of {most}");
    assert!(
        reconciled
            .sources
            .values()
            .all(|one| one.friends == ByteCount::ZERO)
    );
}

#[test]
fn receipts_of_other_times_cost_no_more_than_the_session_lasted() {
    // From before there was a session, and back and forth.
    let receipts = (1..=200).map(|n| {
        let seconds = if n % 2 == 0 { 600 } else { -29 * 24 * 3600 };
        received(n, seconds, &[(1, n * 1_000_000)])
    });
    let claims = (1..=60).map(|n| claimed(1, n, 5_000_000)).collect();
    let reconciled = reconcile(&facts(vec![assigned(1)], receipts.collect(), claims));
    assert_eq!(carried(&reconciled, 1), 200_000_000);
    let minutes: Vec<i64> = reconciled.sources.keys().copied().collect();
    assert!(
        minutes.iter().all(|at| *at >= START) && minutes.len() <= 11,
        "{minutes:?}"
    );
}

#[test]
fn who_comes_back_after_its_end_goes_on() {
    let claims = (1..=36).map(|n| claimed(1, n, 5_000_000)).collect();
    let receipts = vec![
        received(1, 60, &[(1, 30_000_000)]),
        received(2, 360, &[(1, 180_000_000)]),
    ];
    let mut told = facts(vec![assigned(1)], receipts, claims);
    // It was away for a moment, and that was taken for its end.
    told.ended_ms = Some(START + 60_000);
    let reconciled = reconcile(&told);
    assert_eq!(carried(&reconciled, 1), 180_000_000);
    assert_eq!(odd(&reconciled), []);
}

fn any_facts() -> impl Strategy<Value = SessionFacts> {
    let assignment =
        (0..4_u8, 0..300_i64, 0..300_i64, any::<bool>()).prop_map(|(n, from, length, own)| {
            Assigned {
                from_ms: START + from * 1000,
                until_ms: Some(START + (from + length) * 1000),
                own,
                ..assigned(n)
            }
        });
    let receipt = (
        1..3_u32,
        1..12_u64,
        0..400_i64,
        prop::collection::vec(0..60_000_000_u64, 4),
    )
        .prop_map(|(epoch, counter, at, bytes)| {
            let nodes: Vec<(u8, u64)> = (0..4).zip(bytes).collect();
            Received {
                epoch,
                ..received(counter, at, &nodes)
            }
        });
    let claim =
        (0..4_u8, 1..40_u64, 0..9_000_000_u64, 0..8_u8).prop_map(|(n, sequence, bytes, odd)| {
            Claimed {
                refused: odd == 0,
                ..claimed(n, sequence, bytes)
            }
        });
    (
        prop::collection::vec(assignment, 0..6),
        prop::collection::vec(receipt, 0..10),
        prop::collection::vec(claim, 0..60),
    )
        .prop_map(|(assigned, mut received, mut claimed)| {
            // What identifies a fact identifies one.
            received.sort_by_key(|r| (r.epoch, r.counter));
            received.dedup_by_key(|r| (r.epoch, r.counter));
            claimed.sort_by_key(|c| (c.node, c.sequence));
            claimed.dedup_by_key(|c| (c.node, c.sequence));
            facts(assigned, received, claimed)
        })
}

proptest! {
    /// Sums by the minute are sums up to its end.
    #[test]
    fn sums_by_the_minute_are_sums(parts in prop::collection::vec((0..900_i64, 0..300_i64, 1..9_000_000_u64), 0..20)) {
        let mut growth = Growth::default();
        for (from, length, bytes) in parts {
            growth.add(START + from * 1000, START + (from + length) * 1000, bytes);
        }
        let first = START + 2 * MINUTE_MS;
        let sums = growth.by_minute(first, 20);
        for (at, sum) in sums.into_iter().enumerate() {
            prop_assert_eq!(sum, growth.until(first + (at as i64 + 1) * MINUTE_MS));
        }
    }

    /// Nobody gets more than claims, receipts and assignments each allow.
    #[test]
    fn nobody_gets_more_than_each_word_allows(facts in any_facts()) {
        let reconciled = reconcile(&facts);
        for n in 0..4 {
            let got = carried(&reconciled, n);
            let claimed: u64 = facts.claimed.iter()
                .filter(|c| c.node == node(n) && !c.refused).map(|c| c.bytes.get()).sum();
            let mut received = 0;
            for epoch in 1..3 {
                let most = facts.received.iter().filter(|r| r.epoch == epoch)
                    .flat_map(|r| &r.nodes).filter(|(of, _)| *of == node(n)).map(|(_, b)| b.get()).max();
                received += most.unwrap_or(0);
            }
            prop_assert!(got <= claimed && got <= received, "{got} {claimed} {received}");
            prop_assert!(got <= Possible::of(&facts.assigned, node(n)).until(i64::MAX));
        }
    }

    /// The order of facts does not matter, nor does it when some come twice.
    #[test]
    fn order_and_repetition_change_nothing(facts in any_facts(), turn in 0..20_usize) {
        let once = reconcile(&facts);
        let mut again = facts.clone();
        again.claimed.extend(facts.claimed.iter().copied());
        again.received.extend(facts.received.iter().cloned());
        again.received.reverse();
        let places = again.claimed.len().max(1);
        again.claimed.rotate_left(turn % places);
        prop_assert_eq!(reconcile(&again), once);
    }

    /// A later word never takes away what an earlier one gave, in sum.
    #[test]
    fn late_facts_only_add_up_to_the_whole(facts in any_facts(), cut in 0..60_usize) {
        let mut early = facts.clone();
        early.claimed.truncate(cut);
        let (before, after) = (reconcile(&early), reconcile(&facts));
        for n in 0..4 {
            let overlapped = after.findings.iter().any(|f| f.oddity == Oddity::Overlap);
            prop_assert!(overlapped || carried(&before, n) <= carried(&after, n));
        }
    }
}
