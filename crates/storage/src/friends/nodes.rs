//! Nodes: their keys, what they can upload, and whether they are in quarantine.

use events::NodeStatus;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use time::OffsetDateTime;
use types::{Bitrate, NodeId};

use super::{Friends, tell};
use crate::{NewAudit, StorageError, audit, entity::node, outbox::now};

/// A node, as its server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its Ed25519 key.
    pub public_key: [u8; 32],
    /// What its friend wants to be called.
    pub name: String,
    /// Of its program, when it enrolled or connected last.
    pub version: String,
    /// What it could upload when that was measured last, and when.
    pub measured: Option<(Bitrate, OffsetDateTime)>,
    /// Since when it gets no viewers, and why.
    pub quarantine: Option<(OffsetDateTime, String)>,
}

impl TryFrom<node::Model> for Node {
    type Error = StorageError;

    fn try_from(row: node::Model) -> Result<Self, StorageError> {
        let corrupt = |column| StorageError::Corrupt {
            table: "nodes",
            column,
        };
        let public_key = row.public_key.try_into();
        Ok(Self {
            id: NodeId::from_uuid(row.id),
            public_key: public_key.map_err(|_| corrupt("public_key"))?,
            name: row.name,
            version: row.version,
            measured: row
                .measured_bps
                .map(|bps| Bitrate::new(bps.cast_unsigned()))
                .zip(row.measured_at),
            quarantine: row
                .quarantined_at
                .map(|at| (at, row.quarantine_reason.unwrap_or_default())),
        })
    }
}

impl Friends {
    /// The node of this id.
    pub async fn node(&self, id: NodeId) -> Result<Option<Node>, StorageError> {
        let row = node::Entity::find_by_id(id.as_uuid())
            .one(self.database.connection())
            .await?;
        row.map(Node::try_from).transpose()
    }

    /// Keeps what a node could upload when it was measured, and which version it runs.
    pub async fn measured(
        &self,
        id: NodeId,
        upload: Bitrate,
        version: String,
    ) -> Result<(), StorageError> {
        node::Entity::update_many()
            .col_expr(
                node::Column::MeasuredBps,
                Expr::value(i64::try_from(upload.get()).unwrap_or(i64::MAX)),
            )
            .col_expr(node::Column::MeasuredAt, Expr::value(now()))
            .col_expr(node::Column::Version, Expr::value(version))
            .filter(node::Column::Id.eq(id.as_uuid()))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }

    /// Gives a node no more viewers, on any stream. `false`: it has none already.
    pub async fn quarantine(
        &self,
        id: NodeId,
        reason: String,
        entry: NewAudit,
    ) -> Result<bool, StorageError> {
        let transaction = self.database.begin().await?;
        let changed = node::Entity::update_many()
            .col_expr(node::Column::QuarantinedAt, Expr::value(now()))
            .col_expr(node::Column::QuarantineReason, Expr::value(reason))
            .filter(node::Column::Id.eq(id.as_uuid()))
            .filter(node::Column::QuarantinedAt.is_null())
            .exec(&transaction)
            .await?;
        if changed.rows_affected == 0 {
            return Ok(false);
        }
        tell(&transaction, id, None, NodeStatus::Quarantined).await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives a node viewers again. `false`: it was not set aside.
    pub async fn release(&self, id: NodeId, entry: NewAudit) -> Result<bool, StorageError> {
        let transaction = self.database.begin().await?;
        let changed = node::Entity::update_many()
            .col_expr(
                node::Column::QuarantinedAt,
                Expr::value(Option::<OffsetDateTime>::None),
            )
            .col_expr(
                node::Column::QuarantineReason,
                Expr::value(Option::<String>::None),
            )
            .filter(node::Column::Id.eq(id.as_uuid()))
            .filter(node::Column::QuarantinedAt.is_not_null())
            .exec(&transaction)
            .await?;
        if changed.rows_affected == 0 {
            return Ok(false);
        }
        tell(&transaction, id, None, NodeStatus::Active).await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
