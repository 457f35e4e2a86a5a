//! Friends: who carries which stream. By what [`invites`] they came and what is known of their [`nodes`] is below.

pub(crate) mod invites;
pub(crate) mod nodes;

use events::{Fact, NodeStatus};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use time::OffsetDateTime;
use types::{NodeId, StreamId};

use self::nodes::Node;
use crate::{
    Database, NewAudit, StorageError, audit,
    entity::{friend, node},
    outbox::{micros, now, record},
};

/// Friends that one stream may have.
const MAX_FRIENDS: u64 = 1000;

/// Streams that a node is told of that it carries no longer.
const MAX_TOLD: u64 = 64;

/// A node that carries a stream, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Friend {
    /// Which stream.
    pub stream: StreamId,
    /// Which node.
    pub node: NodeId,
    /// What its streamer calls it: the friend's own name until that is changed.
    pub name: String,
    /// Since when.
    pub joined_at: OffsetDateTime,
    /// Since when its help is not wanted for now.
    pub paused_at: Option<OffsetDateTime>,
    /// When that ended.
    pub removed_at: Option<OffsetDateTime>,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Friends {
    database: Database,
}

impl From<friend::Model> for Friend {
    fn from(row: friend::Model) -> Self {
        Self {
            stream: StreamId::from_uuid(row.stream_id),
            node: NodeId::from_uuid(row.node_id),
            name: row.name,
            joined_at: row.joined_at,
            paused_at: row.paused_at,
            removed_at: row.removed_at,
        }
    }
}

impl Friends {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// The streams a node carries; those it carried once are left out.
    pub async fn of_node(&self, id: NodeId) -> Result<Vec<Friend>, StorageError> {
        let rows = friend::Entity::find()
            .filter(friend::Column::NodeId.eq(id.as_uuid()))
            .filter(friend::Column::RemovedAt.is_null())
            .order_by_asc(friend::Column::JoinedAt)
            .limit(MAX_FRIENDS)
            .all(self.database.connection())
            .await?;
        Ok(rows.into_iter().map(Friend::from).collect())
    }

    /// Streams that a node carried once and carries no longer, those that ended last first.
    pub async fn once_of_node(&self, id: NodeId) -> Result<Vec<StreamId>, StorageError> {
        let rows = friend::Entity::find()
            .filter(friend::Column::NodeId.eq(id.as_uuid()))
            .filter(friend::Column::RemovedAt.is_not_null())
            .order_by_desc(friend::Column::RemovedAt)
            .limit(MAX_TOLD)
            .all(self.database.connection())
            .await?;
        let streams = rows.into_iter().map(|row| row.stream_id);
        Ok(streams.map(StreamId::from_uuid).collect())
    }

    /// Who carries a stream, with their nodes, in the order in which they came.
    pub async fn of_stream(&self, stream: StreamId) -> Result<Vec<(Friend, Node)>, StorageError> {
        let rows = friend::Entity::find()
            .filter(friend::Column::StreamId.eq(stream.as_uuid()))
            .filter(friend::Column::RemovedAt.is_null())
            .order_by_asc(friend::Column::JoinedAt)
            .limit(MAX_FRIENDS)
            .all(self.database.connection())
            .await?;
        let ids = rows.iter().map(|row| row.node_id);
        let nodes = node::Entity::find()
            .filter(node::Column::Id.is_in(ids))
            .all(self.database.connection())
            .await?;
        let mut both = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(node) = nodes.iter().find(|node| node.id == row.node_id) {
                both.push((Friend::from(row), Node::try_from(node.clone())?));
            }
        }
        Ok(both)
    }

    /// Changes how a node carries a stream: active, paused or removed. `false`: it does not carry it.
    pub async fn set_status(
        &self,
        stream: StreamId,
        id: NodeId,
        status: NodeStatus,
        entry: NewAudit,
    ) -> Result<bool, StorageError> {
        let transaction = self.database.begin().await?;
        let (column, value) = match status {
            NodeStatus::Active => (friend::Column::PausedAt, None),
            NodeStatus::Paused => (friend::Column::PausedAt, Some(now())),
            NodeStatus::Removed | NodeStatus::Quarantined => {
                (friend::Column::RemovedAt, Some(now()))
            }
        };
        let changed = friend::Entity::update_many()
            .col_expr(column, Expr::value(value))
            .filter(friend::Column::StreamId.eq(stream.as_uuid()))
            .filter(friend::Column::NodeId.eq(id.as_uuid()))
            .filter(friend::Column::RemovedAt.is_null())
            .exec(&transaction)
            .await?;
        if changed.rows_affected == 0 {
            return Ok(false);
        }
        tell(&transaction, id, Some(stream), status).await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Calls a friend otherwise, on one stream. `false`: it does not carry it.
    pub async fn rename(
        &self,
        stream: StreamId,
        id: NodeId,
        name: String,
    ) -> Result<bool, StorageError> {
        let changed = friend::Entity::update_many()
            .col_expr(friend::Column::Name, Expr::value(name))
            .filter(friend::Column::StreamId.eq(stream.as_uuid()))
            .filter(friend::Column::NodeId.eq(id.as_uuid()))
            .filter(friend::Column::RemovedAt.is_null())
            .exec(self.database.connection())
            .await?;
        Ok(changed.rows_affected > 0)
    }
}

async fn tell(
    connection: &impl ConnectionTrait,
    node: NodeId,
    stream: Option<StreamId>,
    status: NodeStatus,
) -> Result<(), StorageError> {
    // Versions of a node rise with the time: it has no counter of its own.
    let version = micros(now()).cast_unsigned();
    let fact = Fact::NodeStatusChanged {
        node,
        stream,
        status,
    };
    Ok(record(connection, version, fact).await?)
}
