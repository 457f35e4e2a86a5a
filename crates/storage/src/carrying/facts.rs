//! Facts of carrying, as rows.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    AcceptedReceipt, AssignedNode, EdgeBytes, EndedSession, Fact, ReportedDelivery, StartedSession,
};
use sea_orm::{ConnectionTrait, sea_query::Value};
use types::{SessionId, StreamId};

use super::{
    reconcile::{day_of, now_ms},
    rows::{Merge, count, id, upsert},
};
use crate::StorageError;

/// A session is reconciled so long after something was told of it: more may come at once.
const SOON_MS: i64 = 4_000;
/// One that lasts longer than [`LONG_MS`] costs more to reconcile, and waits for more.
const LATER_MS: i64 = 30_000;
const LONG_MS: i64 = 600_000;

/// What events of a batch tell.
#[derive(Default)]
pub(super) struct Batch {
    started: Vec<StartedSession>,
    ended: Vec<EndedSession>,
    assigned: Vec<AssignedNode>,
    receipts: Vec<AcceptedReceipt>,
    deliveries: Vec<ReportedDelivery>,
    edges: Vec<EdgeBytes>,
}

type Row = Vec<Value>;

/// Rows by their keys: one statement must not name a key twice.
fn keyed<K: Ord>(rows: impl IntoIterator<Item = (K, Row)>) -> Vec<Row> {
    let by_key: BTreeMap<K, Row> = rows.into_iter().collect();
    by_key.into_values().collect()
}

impl Batch {
    pub(super) fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::SessionStarted { sessions, .. } => self.started.extend_from_slice(sessions),
            Fact::SessionEnded { sessions, .. } => self.ended.extend_from_slice(sessions),
            Fact::NodesAssigned { assignments, .. } => self.assigned.extend_from_slice(assignments),
            Fact::ReceiptsAccepted { receipts, .. } => self.receipts.extend_from_slice(receipts),
            Fact::DeliveriesReported {
                deliveries, edges, ..
            } => {
                self.deliveries.extend_from_slice(deliveries);
                self.edges.extend_from_slice(edges);
            }
            _ => {}
        }
    }

    pub(super) async fn write(self, connection: &impl ConnectionTrait) -> Result<(), StorageError> {
        self.write_sessions(connection).await?;
        self.write_assignments(connection).await?;
        self.write_receipts(connection).await?;
        self.write_deliveries(connection).await?;
        self.write_edges(connection).await?;
        self.mark(connection).await
    }

    async fn write_sessions(&self, connection: &impl ConnectionTrait) -> Result<(), StorageError> {
        let columns = [
            "session_id",
            "stream_id",
            "started_ms",
            "ended_ms",
            "household",
        ];
        let started = self.started.iter().map(|session| {
            let row = vec![
                id(session.session.as_uuid()),
                id(session.stream.as_uuid()),
                session.at_ms.into(),
                Value::BigInt(None),
                session.household.to_vec().into(),
            ];
            (session.session, row)
        });
        let merge = [
            Merge::Smaller("started_ms"),
            Merge::Clear("ended_ms", "started_ms"),
            Merge::Replace("household"),
        ];
        upsert(
            connection,
            "carried_sessions",
            &["session_id"],
            &columns,
            keyed(started),
            &merge,
        )
        .await?;
        // An end that comes before its start stands for it.
        let ended = self.ended.iter().map(|session| {
            let row = vec![
                id(session.session.as_uuid()),
                id(session.stream.as_uuid()),
                session.at_ms.into(),
                session.at_ms.into(),
                vec![0_u8; 8].into(),
            ];
            (session.session, row)
        });
        let merge = [Merge::Smaller("started_ms"), Merge::Later("ended_ms")];
        upsert(
            connection,
            "carried_sessions",
            &["session_id"],
            &columns,
            keyed(ended),
            &merge,
        )
        .await
    }

    async fn write_assignments(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<(), StorageError> {
        let columns = [
            "session_id",
            "node_id",
            "from_ms",
            "stream_id",
            "until_ms",
            "bitrate_bps",
            "own",
        ];
        let mut told: BTreeMap<_, AssignedNode> = BTreeMap::new();
        for given in &self.assigned {
            let key = (given.session, given.node, given.from_ms);
            told.entry(key)
                .and_modify(|known| {
                    // Its end is told after its beginning, and what it takes may rise.
                    known.until_ms = given.until_ms.or(known.until_ms);
                    known.bitrate = known.bitrate.max(given.bitrate);
                })
                .or_insert_with(|| given.clone());
        }
        let rows = told.into_values().map(|given| {
            vec![
                id(given.session.as_uuid()),
                id(given.node.as_uuid()),
                given.from_ms.into(),
                id(given.stream.as_uuid()),
                Value::BigInt(given.until_ms),
                count(given.bitrate.get()),
                given.own.into(),
            ]
        });
        let merge = [Merge::Fill("until_ms"), Merge::Larger("bitrate_bps")];
        let keys = ["session_id", "node_id", "from_ms"];
        upsert(
            connection,
            "assignments",
            &keys,
            &columns,
            rows.collect(),
            &merge,
        )
        .await
    }

    async fn write_receipts(&self, connection: &impl ConnectionTrait) -> Result<(), StorageError> {
        let keys = ["session_id", "epoch", "counter"];
        let columns = [
            "session_id",
            "epoch",
            "counter",
            "stream_id",
            "at_ms",
            "peer_bytes",
            "edge_bytes",
        ];
        let key = |receipt: &AcceptedReceipt| (receipt.session, receipt.epoch, receipt.counter);
        let epoch = |receipt: &AcceptedReceipt| {
            Value::from(i32::try_from(receipt.epoch).unwrap_or(i32::MAX))
        };
        let rows = self.receipts.iter().map(|receipt| {
            let row = vec![
                id(receipt.session.as_uuid()),
                epoch(receipt),
                count(receipt.counter),
                id(receipt.stream.as_uuid()),
                receipt.at_ms.into(),
                count(receipt.peers.get()),
                count(receipt.edge.get()),
            ];
            (key(receipt), row)
        });
        upsert(connection, "receipts", &keys, &columns, keyed(rows), &[]).await?;
        let columns = ["session_id", "epoch", "counter", "node_id", "bytes"];
        let rows = self.receipts.iter().flat_map(|receipt| {
            receipt.nodes.iter().map(move |(node, bytes)| {
                let row = vec![
                    id(receipt.session.as_uuid()),
                    epoch(receipt),
                    count(receipt.counter),
                    id(node.as_uuid()),
                    count(bytes.get()),
                ];
                ((key(receipt), *node), row)
            })
        });
        let keys = ["session_id", "epoch", "counter", "node_id"];
        upsert(
            connection,
            "receipt_nodes",
            &keys,
            &columns,
            keyed(rows),
            &[],
        )
        .await
    }

    async fn write_deliveries(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<(), StorageError> {
        let keys = ["session_id", "node_id", "run_id", "sequence"];
        let columns = [
            "session_id",
            "node_id",
            "run_id",
            "sequence",
            "stream_id",
            "from_ms",
            "to_ms",
            "bytes",
            "refused",
        ];
        // A run that gives the same number to two reports is believed the first.
        let rows = self.deliveries.iter().rev().map(|told| {
            let row = vec![
                id(told.session.as_uuid()),
                id(told.node.as_uuid()),
                id(told.run.as_uuid()),
                count(told.sequence),
                id(told.stream.as_uuid()),
                told.from_ms.into(),
                told.to_ms.into(),
                count(told.bytes.get()),
                told.refused.chars().take(40).collect::<String>().into(),
            ];
            ((told.session, told.node, told.run, told.sequence), row)
        });
        upsert(connection, "deliveries", &keys, &columns, keyed(rows), &[]).await
    }

    async fn write_edges(&self, connection: &impl ConnectionTrait) -> Result<(), StorageError> {
        let keys = ["edge_id", "stream_id", "minute_ms"];
        let columns = [
            "edge_id",
            "stream_id",
            "minute_ms",
            "viewer_bytes",
            "node_bytes",
        ];
        let mut most: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for told in &self.edges {
            let sums = most
                .entry((told.edge, told.stream, told.minute_ms))
                .or_default();
            sums.0 = sums.0.max(told.to_viewers.get());
            sums.1 = sums.1.max(told.to_nodes.get());
        }
        let rows = most
            .into_iter()
            .map(|((edge, stream, minute), (viewers, nodes))| {
                vec![
                    id(edge.as_uuid()),
                    id(stream.as_uuid()),
                    minute.into(),
                    count(viewers),
                    count(nodes),
                ]
            });
        let merge = [Merge::Larger("viewer_bytes"), Merge::Larger("node_bytes")];
        upsert(
            connection,
            "edge_minutes",
            &keys,
            &columns,
            rows.collect(),
            &merge,
        )
        .await
    }

    /// What must be reconciled and summed anew.
    async fn mark(&self, connection: &impl ConnectionTrait) -> Result<(), StorageError> {
        let now = now_ms();
        let mut due: BTreeMap<SessionId, i64> = BTreeMap::new();
        let touched = (self.started.iter().map(|one| one.session))
            .chain(self.ended.iter().map(|one| one.session))
            .chain(self.assigned.iter().map(|one| one.session))
            .chain(self.receipts.iter().map(|one| one.session))
            .chain(self.deliveries.iter().map(|one| one.session));
        for session in touched {
            // A session's id tells when it began.
            let began = session.as_uuid().get_timestamp().map_or(now, |timestamp| {
                let (seconds, _) = timestamp.to_unix();
                i64::try_from(seconds).unwrap_or(0) * 1000
            });
            let wait = if now - began > LONG_MS {
                LATER_MS
            } else {
                SOON_MS
            };
            due.entry(session).or_insert(now + wait);
        }
        let rows = due
            .into_iter()
            .map(|(session, due)| vec![id(session.as_uuid()), due.into()]);
        // Merged even so that a row that is being taken away is waited for.
        let merge = [Merge::Smaller("due_ms")];
        let columns = ["session_id", "due_ms"];
        upsert(
            connection,
            "dirty_sessions",
            &["session_id"],
            &columns,
            rows.collect(),
            &merge,
        )
        .await?;
        let days: BTreeSet<(StreamId, i64)> = self
            .edges
            .iter()
            .map(|told| (told.stream, day_of(told.minute_ms)))
            .collect();
        mark_days(connection, days).await
    }
}

/// Days of streams that are to be summed anew.
pub(super) async fn mark_days(
    connection: &impl ConnectionTrait,
    days: BTreeSet<(StreamId, i64)>,
) -> Result<(), StorageError> {
    let rows = days
        .into_iter()
        .map(|(stream, day)| vec![id(stream.as_uuid()), day.into()]);
    let keys = ["stream_id", "day_ms"];
    let merge = [Merge::Replace("day_ms")];
    upsert(
        connection,
        "dirty_days",
        &keys,
        &keys,
        rows.collect(),
        &merge,
    )
    .await
}
