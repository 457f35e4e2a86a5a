//! Sums by hour, day and month: each made anew by one aggregated statement whenever something of its day changed;
//! and forgetting raw facts that are old.

use sea_orm::{
    ConnectionTrait, DbBackend, Statement, Value,
    sea_query::{Expr, ExprTrait, Order, Query},
};
use time::OffsetDateTime;
use types::StreamId;

use super::{Carrying, reconcile::now_ms, rows::iden};
use crate::StorageError;

/// Days of streams summed in one go.
const AT_ONCE: u64 = 50;
const HOUR_MS: i64 = 3600 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How long raw facts are kept; roll-ups stay.
const RAW_MS: i64 = 60 * DAY_MS;

/// Tables of raw facts, and when a row of each is from.
const RAW: [(&str, &str); 8] = [
    ("deliveries", "to_ms"),
    ("receipts", "at_ms"),
    ("assignments", "from_ms"),
    ("contributions", "minute_ms"),
    ("session_minutes", "minute_ms"),
    ("edge_minutes", "minute_ms"),
    ("carried_sessions", "started_ms"),
    ("findings", "at_ms"),
];

/// By node: what it carried, and for how many sessions. `$1` stream, `$2` from, `$3` until, `$4` grain, `$5` the
/// bucket's length.
const NODES: &str = "INSERT INTO node_totals \
     (grain, bucket_ms, stream_id, node_id, carried_bytes, earning_bytes, sessions) \
     SELECT $4, minute_ms - minute_ms % $5, stream_id, node_id, \
     CAST(SUM(carried_bytes) AS BIGINT), CAST(SUM(earning_bytes) AS BIGINT), \
     COUNT(DISTINCT session_id) FROM contributions \
     WHERE stream_id = $1 AND minute_ms >= $2 AND minute_ms < $3 \
     GROUP BY minute_ms - minute_ms % $5, stream_id, node_id \
     ON CONFLICT (grain, bucket_ms, stream_id, node_id) DO UPDATE SET \
     carried_bytes = excluded.carried_bytes, earning_bytes = excluded.earning_bytes, \
     sessions = excluded.sessions";

/// By stream: where its viewers' bytes came from. What edges sent is what edges counted.
const STREAMS: &str = "INSERT INTO stream_totals_by_time \
     (grain, bucket_ms, stream_id, friend_bytes, peer_bytes, edge_bytes, node_bytes) \
     SELECT $4, minute_ms - minute_ms % $5, stream_id, CAST(SUM(friends) AS BIGINT), \
     CAST(SUM(peers) AS BIGINT), CAST(SUM(edge) AS BIGINT), CAST(SUM(nodes) AS BIGINT) FROM ( \
     SELECT minute_ms, stream_id, carried_bytes AS friends, 0 AS peers, 0 AS edge, 0 AS nodes \
     FROM contributions WHERE stream_id = $1 AND minute_ms >= $2 AND minute_ms < $3 \
     UNION ALL SELECT minute_ms, stream_id, 0, peer_bytes, 0, 0 \
     FROM session_minutes WHERE stream_id = $1 AND minute_ms >= $2 AND minute_ms < $3 \
     UNION ALL SELECT minute_ms, stream_id, 0, 0, viewer_bytes, node_bytes \
     FROM edge_minutes WHERE stream_id = $1 AND minute_ms >= $2 AND minute_ms < $3) AS parts \
     GROUP BY minute_ms - minute_ms % $5, stream_id \
     ON CONFLICT (grain, bucket_ms, stream_id) DO UPDATE SET \
     friend_bytes = excluded.friend_bytes, peer_bytes = excluded.peer_bytes, \
     edge_bytes = excluded.edge_bytes, node_bytes = excluded.node_bytes";

/// Months are sums of days: they have no one length. `$1` stream, `$2` from, `$3` until.
const NODE_MONTHS: &str = "INSERT INTO node_totals \
     (grain, bucket_ms, stream_id, node_id, carried_bytes, earning_bytes, sessions) \
     SELECT 'month', $2, stream_id, node_id, CAST(SUM(carried_bytes) AS BIGINT), \
     CAST(SUM(earning_bytes) AS BIGINT), CAST(SUM(sessions) AS BIGINT) FROM node_totals \
     WHERE grain = 'day' AND stream_id = $1 AND bucket_ms >= $2 AND bucket_ms < $3 \
     GROUP BY stream_id, node_id \
     ON CONFLICT (grain, bucket_ms, stream_id, node_id) DO UPDATE SET \
     carried_bytes = excluded.carried_bytes, earning_bytes = excluded.earning_bytes, \
     sessions = excluded.sessions";

const STREAM_MONTHS: &str = "INSERT INTO stream_totals_by_time \
     (grain, bucket_ms, stream_id, friend_bytes, peer_bytes, edge_bytes, node_bytes) \
     SELECT 'month', $2, stream_id, CAST(SUM(friend_bytes) AS BIGINT), \
     CAST(SUM(peer_bytes) AS BIGINT), CAST(SUM(edge_bytes) AS BIGINT), \
     CAST(SUM(node_bytes) AS BIGINT) FROM stream_totals_by_time \
     WHERE grain = 'day' AND stream_id = $1 AND bucket_ms >= $2 AND bucket_ms < $3 \
     GROUP BY stream_id \
     ON CONFLICT (grain, bucket_ms, stream_id) DO UPDATE SET \
     friend_bytes = excluded.friend_bytes, peer_bytes = excluded.peer_bytes, \
     edge_bytes = excluded.edge_bytes, node_bytes = excluded.node_bytes";

/// The month of a time: its start and its end (UTC).
pub(super) fn month_of(at_ms: i64) -> (i64, i64) {
    let at = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let first = at.date().replace_day(1).unwrap_or(at.date());
    let length = i64::from(first.month().length(first.year())) * DAY_MS;
    let start = first.midnight().assume_utc().unix_timestamp() * 1000;
    (start, start + length)
}

async fn run(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    sql: &str,
    values: Vec<Value>,
) -> Result<(), StorageError> {
    let statement = Statement::from_sql_and_values(backend, sql, values);
    connection.execute_raw(statement).await?;
    Ok(())
}

impl Carrying {
    /// Sums days anew of which something changed, some at once, the newest first. Answers how many. A day that
    /// can't be summed keeps no other from it, and comes again.
    pub async fn roll_up(&self) -> Result<usize, StorageError> {
        let dirty = Query::select()
            .columns([iden("stream_id"), iden("day_ms")])
            .from(iden("dirty_days"))
            .order_by(iden("day_ms"), Order::Desc)
            .limit(AT_ONCE)
            .take();
        let (mut summed, mut failed) = (0, None);
        for row in self.database.connection().query_all(&dirty).await? {
            let stream = StreamId::from_uuid(row.try_get("", "stream_id")?);
            match self.sum_day(stream, row.try_get("", "day_ms")?).await {
                Ok(()) => summed += 1,
                Err(error) if error.is_unavailable() => return Err(error),
                Err(error) => {
                    metrics::counter!("streamr_roll_ups_failed_total").increment(1);
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if summed == 0 => Err(error),
            _ => Ok(summed),
        }
    }

    async fn sum_day(&self, stream: StreamId, day: i64) -> Result<(), StorageError> {
        let transaction = self.database.begin().await?;
        let backend = transaction.get_database_backend();
        let id = stream.as_uuid();
        let done = Query::delete()
            .from_table(iden("dirty_days"))
            .and_where(Expr::col(iden("stream_id")).eq(id))
            .and_where(Expr::col(iden("day_ms")).eq(day))
            .take();
        transaction.execute(&done).await?;
        for (grain, length) in [("hour", HOUR_MS), ("day", DAY_MS)] {
            for sql in [NODES, STREAMS] {
                let values = vec![
                    id.into(),
                    day.into(),
                    (day + DAY_MS).into(),
                    grain.into(),
                    length.into(),
                ];
                run(&transaction, backend, sql, values).await?;
            }
        }
        let (from, until) = month_of(day);
        for sql in [NODE_MONTHS, STREAM_MONTHS] {
            let values = vec![id.into(), from.into(), until.into()];
            run(&transaction, backend, sql, values).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets raw facts that are too old to be corrected. Roll-ups stay.
    pub async fn purge(&self) -> Result<u64, StorageError> {
        self.purge_before(now_ms() - RAW_MS).await
    }

    /// The same before a time, Unix time in milliseconds.
    pub(crate) async fn purge_before(&self, before_ms: i64) -> Result<u64, StorageError> {
        let mut purged = 0;
        // Their receipts tell when they are from.
        let old = Query::select()
            .column(iden("session_id"))
            .from(iden("receipts"))
            .and_where(Expr::col(iden("at_ms")).lt(before_ms))
            .take();
        let nodes = Query::delete()
            .from_table(iden("receipt_nodes"))
            .and_where(Expr::col(iden("session_id")).in_subquery(old))
            .take();
        let connection = self.database.connection();
        purged += connection.execute(&nodes).await?.rows_affected();
        for (table, column) in RAW {
            let statement = Query::delete()
                .from_table(iden(table))
                .and_where(Expr::col(iden(column)).lt(before_ms))
                .take();
            purged += connection.execute(&statement).await?.rows_affected();
        }
        crate::inbox::purge(&self.database).await?;
        Ok(purged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_have_their_own_lengths() {
        // 2024-02-15: a leap year.
        let (from, until) = month_of(1_707_955_200_000);
        assert_eq!(from, 1_706_745_600_000);
        assert_eq!(until - from, 29 * DAY_MS);
        assert_eq!(month_of(until).0, until);
    }
}
