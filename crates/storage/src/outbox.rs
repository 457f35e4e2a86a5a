//! The outbox: events in the transaction of their change, until the relay has sent them.

use async_trait::async_trait;
use events::{Backlog, Dead, DeadLetter, Event, Fact, Outbox, OutboxError, Pending};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
    sea_query::{Expr, Query},
};
use time::{Duration, OffsetDateTime};
use types::{EventId, InstanceId};
use uuid::Uuid;

use crate::{
    Database, StorageError,
    entity::outbox::{ActiveModel, Column, Entity, Model},
};

/// How long sent events are kept.
const KEPT: Duration = Duration::days(1);
/// Rows forgotten at once.
const CHUNK: u64 = 5000;
/// Rows counted; beyond that it does not matter how many wait.
const COUNTED: u64 = 100_000;
/// Characters kept of why an event died.
const REASON: usize = 500;
/// The lease of who sends.
const RELAY: &str = "outbox.relay";

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

/// Unix time in microseconds.
pub(crate) fn micros(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1000) as i64
}

fn row(event: &Event, created_at: OffsetDateTime) -> ActiveModel {
    ActiveModel {
        id: Set(event.id.as_uuid()),
        payload: Set(event.encode()),
        attempts: Set(0),
        created_at: Set(created_at),
        sent_at: Set(None),
        dead_at: Set(None),
        dead_in: Set(None),
        dead_reason: Set(None),
    }
}

/// Writes `fact` beside the change that made it true.
pub(crate) async fn record(
    connection: &impl ConnectionTrait,
    version: u64,
    fact: Fact,
) -> Result<(), DbErr> {
    let now = now();
    let event = Event {
        id: EventId::new(),
        time_us: micros(now),
        version,
        trace_parent: runtime::trace::current(),
        fact,
    };
    Entity::insert(row(&event, now))
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Rows of facts that no change of a row made: their versions rise with the time.
pub(crate) fn rows(facts: Vec<Fact>) -> Vec<ActiveModel> {
    let now = now();
    let first = micros(now);
    let event = |(fact, version): (Fact, i64)| {
        let event = Event {
            id: EventId::new(),
            time_us: first,
            version: version.cast_unsigned(),
            trace_parent: String::new(),
            fact,
        };
        row(&event, now)
    };
    facts.into_iter().zip(first..).map(event).collect()
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> OutboxError {
    OutboxError(Box::new(error))
}

fn all_pending() -> Select<Entity> {
    Entity::find()
        .filter(Column::SentAt.is_null())
        .filter(Column::DeadAt.is_null())
        .order_by_asc(Column::Id)
}

fn uuids(ids: &[EventId]) -> impl Iterator<Item = Uuid> + '_ {
    ids.iter().map(|id| id.as_uuid())
}

impl OutboxTable {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes events that no change made: for tests and measurements of what follows.
    #[doc(hidden)]
    pub async fn write_for_tests(&self, events: &[Event]) -> Result<(), StorageError> {
        let now = now();
        Entity::insert_many(events.iter().map(|event| row(event, now)))
            .exec_without_returning(self.database.connection())
            .await?;
        Ok(())
    }

    /// Reads a row; one that was written by another version must not hold up what can be read.
    async fn read(&self, row: Model) -> Result<Option<Pending>, OutboxError> {
        match Event::decode(&row.payload) {
            Ok(event) => Ok(Some(Pending {
                event,
                attempts: row.attempts.cast_unsigned(),
                only: row.dead_in,
            })),
            Err(error) => {
                metrics::counter!("streamr_events_unreadable_total").increment(1);
                tracing::error!(event_id = %row.id, %error, "event can't be read; it is set aside");
                let dead = Dead {
                    id: EventId::from_uuid(row.id),
                    queue: String::new(),
                    reason: error.to_string(),
                };
                self.mark_dead(&[dead]).await?;
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl Outbox for OutboxTable {
    async fn pending(&self, limit: u32) -> Result<Vec<Pending>, OutboxError> {
        let rows = all_pending()
            .limit(u64::from(limit))
            .all(self.database.connection())
            .await
            .map_err(failed)?;
        let mut pending = Vec::with_capacity(rows.len());
        for row in rows {
            pending.extend(self.read(row).await?);
        }
        Ok(pending)
    }

    async fn lead(
        &self,
        holder: InstanceId,
        ttl: std::time::Duration,
    ) -> Result<bool, OutboxError> {
        let leases = self.database.leases();
        leases.take(RELAY, holder, ttl).await.map_err(failed)
    }

    async fn resign(&self, holder: InstanceId) -> Result<(), OutboxError> {
        let leases = self.database.leases();
        leases.release(RELAY, holder).await.map_err(failed)
    }

    async fn mark_sent(&self, ids: &[EventId]) -> Result<(), OutboxError> {
        if ids.is_empty() {
            return Ok(());
        }
        Entity::update_many()
            .col_expr(Column::SentAt, Expr::value(now()))
            .filter(Column::Id.is_in(uuids(ids)))
            .exec(self.database.connection())
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn mark_failed(&self, ids: &[EventId]) -> Result<(), OutboxError> {
        if ids.is_empty() {
            return Ok(());
        }
        Entity::update_many()
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .filter(Column::Id.is_in(uuids(ids)))
            .exec(self.database.connection())
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn mark_dead(&self, dead: &[Dead]) -> Result<(), OutboxError> {
        for dead in dead {
            let reason: String = dead.reason.chars().take(REASON).collect();
            let queue = Some(dead.queue.clone()).filter(|queue| !queue.is_empty());
            Entity::update_many()
                .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
                .col_expr(Column::DeadAt, Expr::value(now()))
                .col_expr(Column::DeadIn, Expr::value(queue))
                .col_expr(Column::DeadReason, Expr::value(reason))
                .filter(Column::Id.eq(dead.id.as_uuid()))
                .exec(self.database.connection())
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    async fn dead(&self, limit: u32) -> Result<Vec<DeadLetter>, OutboxError> {
        let rows = Entity::find()
            .filter(Column::DeadAt.is_not_null())
            .order_by_asc(Column::Id)
            .limit(u64::from(limit))
            .all(self.database.connection())
            .await
            .map_err(failed)?;
        let letter = |row: Model| DeadLetter {
            id: EventId::from_uuid(row.id),
            name: Event::decode(&row.payload)
                .map_or_else(|_| String::new(), |event| event.name().to_owned()),
            queue: row.dead_in.unwrap_or_default(),
            reason: row.dead_reason.unwrap_or_default(),
            died_us: row.dead_at.map_or(0, micros),
        };
        Ok(rows.into_iter().map(letter).collect())
    }

    async fn revive(&self, id: Option<EventId>) -> Result<u64, OutboxError> {
        let mut update = Entity::update_many()
            .col_expr(Column::DeadAt, Expr::value(Option::<OffsetDateTime>::None))
            .filter(Column::DeadAt.is_not_null());
        if let Some(id) = id {
            update = update.filter(Column::Id.eq(id.as_uuid()));
        }
        let revived = update
            .exec(self.database.connection())
            .await
            .map_err(failed)?;
        Ok(revived.rows_affected)
    }

    async fn backlog(&self) -> Result<Backlog, OutboxError> {
        let oldest: Option<OffsetDateTime> = all_pending()
            .select_only()
            .column(Column::CreatedAt)
            .into_tuple()
            .one(self.database.connection())
            .await
            .map_err(failed)?;
        let Some(oldest) = oldest else {
            return Ok(Backlog::default());
        };
        let counted = all_pending()
            .select_only()
            .column(Column::Id)
            .limit(COUNTED)
            .into_query();
        let count = Query::select()
            .expr_as(Expr::cust("COUNT(*)"), "events")
            .from_subquery(counted, "waiting")
            .to_owned();
        let row = self.database.connection().query_one(&count).await;
        let events: i64 = match row.map_err(failed)? {
            Some(row) => row.try_get("", "events").map_err(failed)?,
            None => 0,
        };
        Ok(Backlog {
            events: events.cast_unsigned(),
            age: (now() - oldest).try_into().unwrap_or_default(),
        })
    }

    async fn purge(&self) -> Result<u64, OutboxError> {
        let old: Vec<Uuid> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::SentAt.lt(now() - KEPT))
            .order_by_asc(Column::SentAt)
            .limit(CHUNK)
            .into_tuple()
            .all(self.database.connection())
            .await
            .map_err(failed)?;
        if old.is_empty() {
            return Ok(0);
        }
        let purged = Entity::delete_many()
            .filter(Column::Id.is_in(old))
            .exec(self.database.connection())
            .await
            .map_err(failed)?;
        Ok(purged.rows_affected)
    }
}
