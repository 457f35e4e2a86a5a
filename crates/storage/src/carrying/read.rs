//! What pages and the API show of who carried what: each answer by one aggregated statement.

use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};
use types::{ByteCount, NodeId, StreamId};

use super::{
    Carried, Carrying,
    reconcile::{day_of, now_ms},
    rollup::month_of,
};
use crate::StorageError;

/// A stream's bytes since a time, by where they came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// From friends' nodes, as verified.
    pub friends: ByteCount,
    /// From viewers to viewers, as viewers say.
    pub peers: ByteCount,
    /// From edges to viewers, as edges count.
    pub edge: ByteCount,
    /// From edges to nodes, as edges count.
    pub nodes: ByteCount,
    /// Who carried, the most first.
    pub by: Vec<DeliveredBy>,
}

/// One node's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredBy {
    /// Which.
    pub node: NodeId,
    /// Verified.
    pub bytes: ByteCount,
    /// Of all that nodes carried, in thousandths.
    pub share_permille: u32,
}

/// A stream's bytes in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinuteOfStream {
    /// When it began, Unix time in milliseconds.
    pub began_ms: i64,
    /// From friends' nodes.
    pub friends: ByteCount,
    /// From other viewers.
    pub peers: ByteCount,
    /// From edges.
    pub edge: ByteCount,
}

/// What a node carried of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupportedStream {
    /// Which.
    pub stream: StreamId,
    /// Today.
    pub today: ByteCount,
    /// This month.
    pub month: ByteCount,
    /// Ever.
    pub total: ByteCount,
}

/// What a node carried on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupportedDay {
    /// Its start, Unix time in milliseconds.
    pub began_ms: i64,
    /// Verified.
    pub bytes: ByteCount,
    /// Sessions carried.
    pub sessions: u64,
}

/// How what a node says compares with what viewers say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// What it claimed.
    pub claimed: ByteCount,
    /// What was verified of it.
    pub carried: ByteCount,
    /// What does not add up: how often.
    pub findings: u64,
}

const DELIVERED: &str = "SELECT CAST(COALESCE(SUM(friends), 0) AS BIGINT) AS friends, \
     CAST(COALESCE(SUM(peers), 0) AS BIGINT) AS peers, \
     CAST(COALESCE(SUM(edge), 0) AS BIGINT) AS edge, \
     CAST(COALESCE(SUM(nodes), 0) AS BIGINT) AS nodes FROM ( \
     SELECT carried_bytes AS friends, 0 AS peers, 0 AS edge, 0 AS nodes FROM contributions \
     WHERE stream_id = $1 AND minute_ms >= $2 \
     UNION ALL SELECT 0, peer_bytes, 0, 0 FROM session_minutes \
     WHERE stream_id = $1 AND minute_ms >= $2 \
     UNION ALL SELECT 0, 0, viewer_bytes, node_bytes FROM edge_minutes \
     WHERE stream_id = $1 AND minute_ms >= $2) AS parts";

const BY_NODE: &str = "SELECT node_id, CAST(SUM(carried_bytes) AS BIGINT) AS bytes, \
     CAST(SUM(SUM(carried_bytes)) OVER () AS BIGINT) AS whole FROM contributions \
     WHERE stream_id = $1 AND minute_ms >= $2 GROUP BY node_id ORDER BY 2 DESC, 1 LIMIT 1000";

const MINUTES: &str = "SELECT minute_ms, CAST(SUM(friends) AS BIGINT) AS friends, \
     CAST(SUM(peers) AS BIGINT) AS peers, CAST(SUM(edge) AS BIGINT) AS edge FROM ( \
     SELECT minute_ms, carried_bytes AS friends, 0 AS peers, 0 AS edge FROM contributions \
     WHERE stream_id = $1 AND minute_ms >= $2 \
     UNION ALL SELECT minute_ms, 0, peer_bytes, 0 FROM session_minutes \
     WHERE stream_id = $1 AND minute_ms >= $2 \
     UNION ALL SELECT minute_ms, 0, 0, viewer_bytes FROM edge_minutes \
     WHERE stream_id = $1 AND minute_ms >= $2) AS parts \
     GROUP BY minute_ms ORDER BY minute_ms LIMIT 1000";

const OF_STREAM: &str = "SELECT node_id, CAST(SUM(carried_bytes) AS BIGINT) AS bytes \
     FROM node_totals WHERE stream_id = $1 AND grain = $2 AND bucket_ms = $3 GROUP BY node_id";

const SUPPORTED: &str = "SELECT stream_id, \
     CAST(SUM(CASE WHEN grain = 'day' AND bucket_ms = $2 THEN carried_bytes ELSE 0 END) AS BIGINT) \
     AS today, \
     CAST(SUM(CASE WHEN grain = 'month' AND bucket_ms = $3 THEN carried_bytes ELSE 0 END) AS BIGINT) \
     AS month, \
     CAST(SUM(CASE WHEN grain = 'month' THEN carried_bytes ELSE 0 END) AS BIGINT) AS total \
     FROM node_totals WHERE node_id = $1 GROUP BY stream_id ORDER BY 4 DESC LIMIT 1000";

const DAYS: &str = "SELECT bucket_ms, CAST(SUM(carried_bytes) AS BIGINT) AS bytes, \
     CAST(SUM(sessions) AS BIGINT) AS sessions FROM node_totals \
     WHERE node_id = $1 AND grain = 'day' AND bucket_ms >= $2 GROUP BY bucket_ms ORDER BY bucket_ms";

const HEALTH: &str = "SELECT \
     CAST(COALESCE((SELECT SUM(bytes) FROM deliveries WHERE node_id = $1 AND to_ms >= $2), 0) \
     AS BIGINT) AS claimed, \
     CAST(COALESCE((SELECT SUM(carried_bytes) FROM contributions \
     WHERE node_id = $1 AND minute_ms >= $2), 0) AS BIGINT) AS carried, \
     (SELECT COUNT(*) FROM findings WHERE node_id = $1 AND at_ms >= $2 \
     AND kind NOT IN ('unsigned', 'foreign', 'impossible')) \
     AS findings";

fn bytes(row: &QueryResult, column: &str) -> Result<ByteCount, StorageError> {
    let value: i64 = row.try_get("", column)?;
    Ok(ByteCount::new(Ord::max(value, 0).cast_unsigned()))
}

impl Carrying {
    async fn rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, StorageError> {
        let connection = self.database.connection();
        let backend = connection.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, values);
        Ok(connection.query_all_raw(statement).await?)
    }

    /// A stream's bytes since a time, Unix time in milliseconds.
    pub async fn delivered(
        &self,
        stream: StreamId,
        since_ms: i64,
    ) -> Result<Delivered, StorageError> {
        let values = || vec![stream.as_uuid().into(), since_ms.into()];
        let mut delivered = Delivered::default();
        if let Some(row) = self.rows(DELIVERED, values()).await?.first() {
            delivered.friends = bytes(row, "friends")?;
            delivered.peers = bytes(row, "peers")?;
            delivered.edge = bytes(row, "edge")?;
            delivered.nodes = bytes(row, "nodes")?;
        }
        for row in self.rows(BY_NODE, values()).await? {
            let (part, whole) = (bytes(&row, "bytes")?, bytes(&row, "whole")?);
            let permille = u128::from(part.get()) * 1000 / u128::from(whole.get().max(1));
            delivered.by.push(DeliveredBy {
                node: NodeId::from_uuid(row.try_get("", "node_id")?),
                bytes: part,
                share_permille: u32::try_from(permille).unwrap_or(1000),
            });
        }
        Ok(delivered)
    }

    /// A stream's bytes by the minute since a time, oldest first.
    pub async fn minutes(
        &self,
        stream: StreamId,
        since_ms: i64,
    ) -> Result<Vec<MinuteOfStream>, StorageError> {
        let values = vec![stream.as_uuid().into(), since_ms.into()];
        let rows = self.rows(MINUTES, values).await?;
        let read = |row: &QueryResult| {
            Ok(MinuteOfStream {
                began_ms: row.try_get("", "minute_ms")?,
                friends: bytes(row, "friends")?,
                peers: bytes(row, "peers")?,
                edge: bytes(row, "edge")?,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn of_stream(
        &self,
        stream: StreamId,
        grain: &str,
        bucket_ms: i64,
    ) -> Result<Vec<Carried>, StorageError> {
        let values = vec![stream.as_uuid().into(), grain.into(), bucket_ms.into()];
        let rows = self.rows(OF_STREAM, values).await?;
        let read = |row: &QueryResult| {
            Ok(Carried {
                node: NodeId::from_uuid(row.try_get("", "node_id")?),
                bytes: bytes(row, "bytes")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// What each node carried of a stream today, and this month.
    pub async fn by_friends(
        &self,
        stream: StreamId,
    ) -> Result<(Vec<Carried>, Vec<Carried>), StorageError> {
        let now = now_ms();
        let today = self.of_stream(stream, "day", day_of(now)).await?;
        let month = self.of_stream(stream, "month", month_of(now).0).await?;
        Ok((today, month))
    }

    /// What a node carried of each stream.
    pub async fn supported(&self, node: NodeId) -> Result<Vec<SupportedStream>, StorageError> {
        let now = now_ms();
        let values = vec![
            node.as_uuid().into(),
            day_of(now).into(),
            month_of(now).0.into(),
        ];
        let rows = self.rows(SUPPORTED, values).await?;
        let read = |row: &QueryResult| {
            Ok(SupportedStream {
                stream: StreamId::from_uuid(row.try_get("", "stream_id")?),
                today: bytes(row, "today")?,
                month: bytes(row, "month")?,
                total: bytes(row, "total")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// What a node carried on each of the last `days` days on which it carried anything.
    pub async fn supported_days(
        &self,
        node: NodeId,
        days: u32,
    ) -> Result<Vec<SupportedDay>, StorageError> {
        let since = day_of(now_ms()) - i64::from(days) * 24 * 3600 * 1000;
        let rows = self
            .rows(DAYS, vec![node.as_uuid().into(), since.into()])
            .await?;
        let read = |row: &QueryResult| {
            Ok(SupportedDay {
                began_ms: row.try_get("", "bucket_ms")?,
                bytes: bytes(row, "bytes")?,
                sessions: bytes(row, "sessions")?.get(),
            })
        };
        rows.iter().map(read).collect()
    }

    /// How a node's words since a time compare with its viewers'.
    pub async fn health(&self, node: NodeId, since_ms: i64) -> Result<Health, StorageError> {
        let values = vec![node.as_uuid().into(), since_ms.into()];
        let rows = self.rows(HEALTH, values).await?;
        let Some(row) = rows.first() else {
            return Ok(Health::default());
        };
        Ok(Health {
            claimed: bytes(row, "claimed")?,
            carried: bytes(row, "carried")?,
            findings: bytes(row, "findings")?.get(),
        })
    }
}
