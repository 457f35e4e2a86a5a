//! What is held against nodes: bounded, and never changed.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::{Duration, OffsetDateTime};
use types::{NodeId, StreamId};
use uuid::Uuid;

use crate::{Database, StorageError, entity::node_evidence, outbox::now};

/// Kept of one node; the oldest make room.
const MOST: u64 = 1000;
/// How long it is kept.
const KEPT: Duration = Duration::days(365);
/// Characters kept of one piece.
const MAX_DETAIL: usize = 4000;

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Against whom.
    pub node: NodeId,
    /// On which stream, if it is about one.
    pub stream: Option<StreamId>,
    /// When it was found.
    pub at: OffsetDateTime,
    /// What kind, such as `digest`, `identity` or `claim`.
    pub kind: String,
    /// JSON.
    pub detail: String,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct EvidenceLog {
    database: Database,
}

impl EvidenceLog {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Keeps a piece.
    pub async fn keep(
        &self,
        node: NodeId,
        stream: Option<StreamId>,
        kind: &str,
        detail: &str,
    ) -> Result<(), StorageError> {
        let oldest = node_evidence::Entity::find()
            .filter(node_evidence::Column::NodeId.eq(node.as_uuid()))
            .order_by_desc(node_evidence::Column::Id)
            .offset(MOST - 1)
            .limit(1)
            .one(self.database.connection())
            .await?;
        if let Some(oldest) = oldest {
            metrics::counter!("streamr_evidence_dropped_total").increment(1);
            node_evidence::Entity::delete_many()
                .filter(node_evidence::Column::NodeId.eq(node.as_uuid()))
                .filter(node_evidence::Column::Id.lte(oldest.id))
                .exec(self.database.connection())
                .await?;
        }
        let row = node_evidence::ActiveModel {
            id: Set(Uuid::now_v7()),
            node_id: Set(node.as_uuid()),
            stream_id: Set(stream.map(StreamId::as_uuid)),
            at: Set(now()),
            kind: Set(kind.chars().take(40).collect()),
            detail: Set(detail.chars().take(MAX_DETAIL).collect()),
        };
        node_evidence::Entity::insert(row)
            .exec_without_returning(self.database.connection())
            .await?;
        Ok(())
    }

    /// What is held against a node, newest first.
    pub async fn against(&self, node: NodeId, limit: u32) -> Result<Vec<Evidence>, StorageError> {
        let rows = node_evidence::Entity::find()
            .filter(node_evidence::Column::NodeId.eq(node.as_uuid()))
            .order_by_desc(node_evidence::Column::Id)
            .limit(u64::from(limit))
            .all(self.database.connection())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Evidence {
                node: NodeId::from_uuid(row.node_id),
                stream: row.stream_id.map(StreamId::from_uuid),
                at: row.at,
                kind: row.kind,
                detail: row.detail,
            })
            .collect())
    }

    /// Forgets what is a year old.
    pub async fn purge(&self) -> Result<(), StorageError> {
        node_evidence::Entity::delete_many()
            .filter(node_evidence::Column::At.lt(now() - KEPT))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }
}
