//! What a rogue says it delivered.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use proto::node::{Delivery, DeliveryReport, SignedReport};
use types::{ByteCount, NodeId, RunId};

use super::{
    super::window::Fault,
    wire::{Key, now_ms},
};

/// A report says so many times what is true.
const INFLATED: u64 = 10;
/// How far ahead reports of the future are.
const AHEAD_MS: i64 = 3_600_000;
/// Between the numbers of a report and of its copy.
const COPIES: u64 = 1_000_000;

/// The reports of one run.
pub(super) struct Claims {
    pub(super) node: NodeId,
    pub(super) run: RunId,
    pub(super) key: Key,
    pub(super) fault: Fault,
    sequence: u64,
    from_ms: i64,
}

impl Claims {
    pub(super) fn new(node: NodeId, run: RunId, key: Key, fault: Fault) -> Self {
        Self {
            node,
            run,
            key,
            fault,
            sequence: 0,
            from_ms: now_ms(),
        }
    }

    /// What is to be sent of these deliveries, and how many bytes all of it claims.
    pub(super) fn of(&mut self, delivered: &[peer::Delivered]) -> (Vec<SignedReport>, u64) {
        let (from, to) = (self.from_ms, now_ms());
        self.from_ms = to;
        let mut sums: BTreeMap<Bytes, (u64, u32)> = BTreeMap::new();
        for part in delivered.iter().filter(|part| part.bytes > ByteCount::ZERO) {
            let sum = sums.entry(part.link.as_bytes().clone()).or_default();
            sum.0 += part.bytes.get();
            sum.1 += part.segments;
        }
        if sums.is_empty() {
            return (Vec::new(), 0);
        }
        self.sequence += 1;
        let times = if self.fault == Fault::Inflate {
            INFLATED
        } else {
            1
        };
        let ahead = if self.fault == Fault::Future {
            AHEAD_MS
        } else {
            0
        };
        let deliveries = sums.into_iter().map(|(link, (bytes, segments))| Delivery {
            link,
            bytes: bytes * times,
            segments,
        });
        let mut report = DeliveryReport {
            node_id: self.node.to_string(),
            run_id: self.run.to_string(),
            sequence: self.sequence,
            from_unix_ms: from + ahead,
            to_unix_ms: to + ahead,
            deliveries: deliveries.collect(),
        };
        let claimed: u64 = report
            .deliveries
            .iter()
            .map(|delivery| delivery.bytes)
            .sum();
        if self.fault == Fault::Forge {
            return (vec![Key::new().report(report.encode_to_vec())], claimed);
        }
        let first = self.key.report(report.encode_to_vec());
        if self.fault != Fault::Replay {
            return (vec![first], claimed);
        }
        report.sequence += COPIES;
        let copy = self.key.report(report.encode_to_vec());
        (vec![first.clone(), first, copy], claimed * 3)
    }
}
