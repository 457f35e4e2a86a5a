//! Invites to carry a stream, and the nodes that redeem them.

use events::Fact;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use types::{InviteId, NodeId, StreamId};

use super::{Friends, MAX_FRIENDS, nodes::Node};
use crate::{
    NewAudit, StorageError, audit,
    entity::{friend, invite, node},
    hash::SecretHash,
    outbox::{micros, now, record},
    stream_life::bump_version,
};

/// Open invites that one stream may have.
const MAX_INVITES: u64 = 200;

/// An invite to carry a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// To carry this stream.
    pub stream: StreamId,
    /// For whom, in the streamer's words; may be empty.
    pub name: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until when it is good.
    pub expires_at: OffsetDateTime,
    /// When it was used, and by which node.
    pub used: Option<(OffsetDateTime, NodeId)>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
}

/// What an enrolment was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No invite, or one that was used, revoked or ran out.
    Invite,
    /// The node was removed from this stream before, and this is no new key.
    Banned,
    /// The stream has as many friends as it may.
    Full,
}

/// A node that enrols.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The invite it redeems.
    pub invite: SecretHash,
    /// Its key.
    pub public_key: [u8; 32],
    /// What its friend wants to be called.
    pub name: String,
    /// Of its program.
    pub version: String,
}

impl From<invite::Model> for Invite {
    fn from(row: invite::Model) -> Self {
        Self {
            id: InviteId::from_uuid(row.id),
            stream: StreamId::from_uuid(row.stream_id),
            name: row.name,
            created_at: row.created_at,
            expires_at: row.expires_at,
            used: row.used_at.zip(row.used_by.map(NodeId::from_uuid)),
            revoked_at: row.revoked_at,
        }
    }
}

impl Friends {
    /// Makes an invite that is good until `expires_at`.
    pub async fn invite(
        &self,
        stream: StreamId,
        name: String,
        hash: SecretHash,
        expires_at: OffsetDateTime,
        entry: NewAudit,
    ) -> Result<Invite, StorageError> {
        let transaction = self.database.begin().await?;
        bump_version(&transaction, stream).await?;
        let open = invite::Entity::find()
            .filter(invite::Column::StreamId.eq(stream.as_uuid()))
            .filter(invite::Column::UsedAt.is_null())
            .filter(invite::Column::RevokedAt.is_null())
            .filter(invite::Column::ExpiresAt.gt(now()))
            .count(&transaction)
            .await?;
        if open >= MAX_INVITES {
            return Err(StorageError::TooMany {
                what: "open invites",
                most: MAX_INVITES,
            });
        }
        let made = Invite {
            id: InviteId::new(),
            stream,
            name,
            created_at: now(),
            expires_at,
            used: None,
            revoked_at: None,
        };
        let row = invite::ActiveModel {
            id: Set(made.id.as_uuid()),
            stream_id: Set(stream.as_uuid()),
            hash: Set(hash.to_vec()),
            name: Set(made.name.clone()),
            created_at: Set(made.created_at),
            expires_at: Set(made.expires_at),
            used_at: Set(None),
            used_by: Set(None),
            revoked_at: Set(None),
        };
        invite::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// A stream's invites, newest first.
    pub async fn invites(
        &self,
        stream: StreamId,
        after: Option<InviteId>,
        limit: u32,
    ) -> Result<Vec<Invite>, StorageError> {
        let mut query = invite::Entity::find()
            .filter(invite::Column::StreamId.eq(stream.as_uuid()))
            .order_by_desc(invite::Column::Id)
            .limit(u64::from(limit));
        if let Some(after) = after {
            query = query.filter(invite::Column::Id.lt(after.as_uuid()));
        }
        let rows = query.all(self.database.connection()).await?;
        Ok(rows.into_iter().map(Invite::from).collect())
    }

    /// The invite of this secret, if it is still good.
    pub async fn open_invite(&self, hash: SecretHash) -> Result<Option<Invite>, StorageError> {
        let row = good(hash).one(self.database.connection()).await?;
        Ok(row.map(Invite::from))
    }

    /// Revokes an invite that nobody used. `false`: there is none.
    pub async fn revoke_invite(
        &self,
        stream: StreamId,
        id: InviteId,
        entry: NewAudit,
    ) -> Result<bool, StorageError> {
        let transaction = self.database.begin().await?;
        let revoked = invite::Entity::update_many()
            .col_expr(invite::Column::RevokedAt, Expr::value(now()))
            .filter(invite::Column::Id.eq(id.as_uuid()))
            .filter(invite::Column::StreamId.eq(stream.as_uuid()))
            .filter(invite::Column::UsedAt.is_null())
            .filter(invite::Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        if revoked.rows_affected == 0 {
            return Ok(false);
        }
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Redeems an invite: the node of this key carries its stream. A key that is known keeps its node.
    pub async fn enrol(
        &self,
        enrolment: Enrolment,
        entry: NewAudit,
    ) -> Result<Result<(Node, StreamId), Refused>, StorageError> {
        let transaction = self.database.begin().await?;
        let Some(found) = good(enrolment.invite).one(&transaction).await? else {
            return Ok(Err(Refused::Invite));
        };
        let stream = StreamId::from_uuid(found.stream_id);
        let node = known_or_new(&transaction, &enrolment).await?;
        let used = invite::Entity::update_many()
            .col_expr(invite::Column::UsedAt, Expr::value(now()))
            .col_expr(invite::Column::UsedBy, Expr::value(node.id.as_uuid()))
            .filter(invite::Column::Id.eq(found.id))
            .filter(invite::Column::UsedAt.is_null())
            .exec(&transaction)
            .await?;
        if used.rows_affected == 0 {
            // Somebody else was quicker.
            return Ok(Err(Refused::Invite));
        }
        if node.quarantine.is_some() {
            return Ok(Err(Refused::Banned));
        }
        let friends = friend::Entity::find()
            .filter(friend::Column::StreamId.eq(found.stream_id))
            .filter(friend::Column::RemovedAt.is_null())
            .count(&transaction)
            .await?;
        if friends >= MAX_FRIENDS {
            return Ok(Err(Refused::Full));
        }
        let name = if found.name.is_empty() {
            enrolment.name
        } else {
            found.name
        };
        join(&transaction, stream, node.id, name).await?;
        let version = micros(now()).cast_unsigned();
        let fact = Fact::NodeEnrolled {
            node: node.id,
            stream,
        };
        record(&transaction, version, fact).await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(Ok((node, stream)))
    }
}

fn good(hash: SecretHash) -> sea_orm::Select<invite::Entity> {
    invite::Entity::find()
        .filter(invite::Column::Hash.eq(hash.to_vec()))
        .filter(invite::Column::UsedAt.is_null())
        .filter(invite::Column::RevokedAt.is_null())
        .filter(invite::Column::ExpiresAt.gt(now()))
}

async fn known_or_new(
    connection: &impl ConnectionTrait,
    enrolment: &Enrolment,
) -> Result<Node, StorageError> {
    let known = node::Entity::find()
        .filter(node::Column::PublicKey.eq(enrolment.public_key.to_vec()))
        .one(connection)
        .await?;
    if let Some(row) = known {
        return row.try_into();
    }
    let made = Node {
        id: NodeId::new(),
        public_key: enrolment.public_key,
        name: enrolment.name.clone(),
        version: enrolment.version.clone(),
        measured: None,
        quarantine: None,
    };
    let row = node::ActiveModel {
        id: Set(made.id.as_uuid()),
        public_key: Set(made.public_key.to_vec()),
        name: Set(made.name.clone()),
        version: Set(made.version.clone()),
        created_at: Set(now()),
        measured_bps: Set(None),
        measured_at: Set(None),
        quarantined_at: Set(None),
        quarantine_reason: Set(None),
    };
    node::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok(made)
}

/// Who was removed and is invited again comes back.
async fn join(
    connection: &impl ConnectionTrait,
    stream: StreamId,
    node: NodeId,
    name: String,
) -> Result<(), StorageError> {
    use friend::Column;
    let row = friend::ActiveModel {
        stream_id: Set(stream.as_uuid()),
        node_id: Set(node.as_uuid()),
        name: Set(name),
        joined_at: Set(now()),
        paused_at: Set(None),
        removed_at: Set(None),
    };
    let again = OnConflict::columns([Column::StreamId, Column::NodeId])
        .update_columns([
            Column::Name,
            Column::JoinedAt,
            Column::PausedAt,
            Column::RemovedAt,
        ])
        .to_owned();
    friend::Entity::insert(row)
        .on_conflict(again)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
