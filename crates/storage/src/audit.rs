//! The audit log: who did what to whom. Rows are only ever added; the schema refuses anything else.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use time::OffsetDateTime;
use types::{AuditId, UserId};

use crate::{Database, StorageError, entity::audit_entry, outbox::now};

/// Something that was done, to be written with the change itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// What, such as `key.changed`.
    pub action: &'static str,
    /// Who did it; `None`: the operator at the command line, or a stranger.
    pub actor: Option<UserId>,
    /// What it was done to, such as `stream/<id>`.
    pub subject: Option<String>,
    /// The network it came from: an address without its last part.
    pub network: Option<String>,
    /// More, as a JSON object.
    pub detail: Option<String>,
}

impl NewAudit {
    /// An entry of which only the action is known.
    pub fn new(action: &'static str) -> Self {
        Self {
            action,
            actor: None,
            subject: None,
            network: None,
            detail: None,
        }
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id, in the order of writing.
    pub id: AuditId,
    /// When.
    pub at: OffsetDateTime,
    /// What.
    pub action: String,
    /// Who.
    pub actor: Option<UserId>,
    /// To what.
    pub subject: Option<String>,
    /// From where.
    pub network: Option<String>,
    /// More, as a JSON object.
    pub detail: Option<String>,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Done by this user, or to them.
    pub about: Option<UserId>,
    /// Of this action.
    pub action: Option<String>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    Newest,
    /// Oldest first.
    Oldest,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Audit {
    database: Database,
}

impl Audit {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes an entry that goes with no change: a refused log-in.
    pub async fn add(&self, entry: NewAudit) -> Result<(), StorageError> {
        write(self.database.connection(), entry).await
    }

    /// Entries after `after` in `order`, `limit` at most.
    pub async fn list(
        &self,
        filter: &AuditFilter,
        order: Order,
        after: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        use audit_entry::Column;
        let mut query = audit_entry::Entity::find().limit(u64::from(limit));
        if let Some(user) = filter.about {
            query = query.filter(
                Condition::any()
                    .add(Column::Actor.eq(user.as_uuid()))
                    .add(Column::Subject.eq(format!("user/{user}"))),
            );
        }
        if let Some(action) = &filter.action {
            query = query.filter(Column::Action.eq(action.as_str()));
        }
        query = match order {
            Order::Newest => query.order_by_desc(Column::Id),
            Order::Oldest => query.order_by_asc(Column::Id),
        };
        if let Some(after) = after {
            query = query.filter(match order {
                Order::Newest => Column::Id.lt(after.as_uuid()),
                Order::Oldest => Column::Id.gt(after.as_uuid()),
            });
        }
        let rows = query.all(self.database.connection()).await?;
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }
}

impl From<audit_entry::Model> for AuditEntry {
    fn from(row: audit_entry::Model) -> Self {
        Self {
            id: AuditId::from_uuid(row.id),
            at: row.at,
            action: row.action,
            actor: row.actor.map(UserId::from_uuid),
            subject: row.subject,
            network: row.network,
            detail: row.detail,
        }
    }
}

/// Writes `entry` in the transaction of the change it tells of.
pub(crate) async fn write(
    connection: &impl ConnectionTrait,
    entry: NewAudit,
) -> Result<(), StorageError> {
    let row = audit_entry::ActiveModel {
        id: Set(AuditId::new().as_uuid()),
        at: Set(now()),
        action: Set(entry.action.to_owned()),
        actor: Set(entry.actor.map(UserId::as_uuid)),
        subject: Set(entry.subject),
        network: Set(entry.network),
        detail: Set(entry.detail),
    };
    audit_entry::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
