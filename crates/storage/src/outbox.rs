//! The outbox: events in the transaction of their change, until the relay has sent them.

use async_trait::async_trait;
use events::{Event, Fact, Outbox, OutboxError, Pending};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait,
    ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use time::{Duration, OffsetDateTime};
use types::EventId;

use crate::{Database, entity::outbox};

/// How long sent events are kept.
const KEPT: Duration = Duration::days(1);

/// The outbox table.
#[derive(Debug, Clone)]
pub struct OutboxTable {
    database: Database,
}

/// Now, in the precision that both databases keep.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    let micros = now.microsecond();
    now.replace_microsecond(micros).unwrap_or(now)
}

/// Writes `fact` beside the change that made it true.
pub(crate) async fn record(
    connection: &impl ConnectionTrait,
    version: u64,
    fact: Fact,
) -> Result<(), DbErr> {
    let now = now();
    let micros = (now.unix_timestamp_nanos() / 1000) as i64;
    let event = Event {
        id: EventId::new(),
        time_us: micros,
        version,
        fact,
    };
    let row = outbox::ActiveModel {
        id: Set(event.id.as_uuid()),
        payload: Set(event.encode()),
        attempts: Set(0),
        created_at: Set(now),
        sent_at: Set(None),
        dead_at: Set(None),
    };
    outbox::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> OutboxError {
    OutboxError(Box::new(error))
}

impl OutboxTable {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Outbox for OutboxTable {
    async fn pending(&self, limit: u32) -> Result<Vec<Pending>, OutboxError> {
        let rows = outbox::Entity::find()
            .filter(outbox::Column::SentAt.is_null())
            .filter(outbox::Column::DeadAt.is_null())
            .order_by_asc(outbox::Column::Id)
            .limit(u64::from(limit))
            .all(self.database.connection())
            .await
            .map_err(failed)?;
        let mut pending = Vec::with_capacity(rows.len());
        for row in rows {
            match Event::decode(&row.payload) {
                Ok(event) => pending.push(Pending {
                    event,
                    attempts: row.attempts as u32,
                }),
                // Written by another version: it must not hold up what can be read.
                Err(error) => {
                    tracing::error!(event_id = %row.id, %error, "event can't be read; it is set aside");
                    self.mark_failed(EventId::from_uuid(row.id), true).await?;
                }
            }
        }
        Ok(pending)
    }

    async fn mark_sent(&self, id: EventId) -> Result<(), OutboxError> {
        let row = outbox::ActiveModel {
            id: Set(id.as_uuid()),
            sent_at: Set(Some(now())),
            ..Default::default()
        };
        row.update(self.database.connection())
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn mark_failed(&self, id: EventId, dead: bool) -> Result<(), OutboxError> {
        let mut update = outbox::Entity::update_many()
            .col_expr(
                outbox::Column::Attempts,
                Expr::col(outbox::Column::Attempts).add(1),
            )
            .filter(outbox::Column::Id.eq(id.as_uuid()));
        if dead {
            update = update.col_expr(outbox::Column::DeadAt, Expr::value(now()));
        }
        update
            .exec(self.database.connection())
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn purge(&self) -> Result<(), OutboxError> {
        outbox::Entity::delete_many()
            .filter(outbox::Column::SentAt.lt(now() - KEPT))
            .exec(self.database.connection())
            .await
            .map_err(failed)?;
        Ok(())
    }
}
