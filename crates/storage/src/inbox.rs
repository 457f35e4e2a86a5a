//! The inbox: which events a consumer has applied, written in the transaction that applies them.

use std::collections::HashSet;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    sea_query::{OnConflict, Query},
};
use time::Duration;
use types::EventId;
use uuid::Uuid;

use crate::{
    Database, StorageError,
    entity::inbox::{Column, Entity},
    outbox::now,
};

/// How long it is remembered that an event took effect; the broker repeats none that late.
const KEPT: Duration = Duration::days(7);
/// Rows forgotten at once.
const CHUNK: u64 = 5000;

/// Writes down that `consumer` applies `events`; answers those it did not apply before.
pub(crate) async fn fresh(
    connection: &impl ConnectionTrait,
    consumer: &str,
    events: impl IntoIterator<Item = EventId>,
) -> Result<HashSet<EventId>, StorageError> {
    let at = now();
    let mut statement = Query::insert();
    statement
        .into_table(Entity)
        .columns([Column::Consumer, Column::EventId, Column::At])
        .on_conflict(
            OnConflict::columns([Column::Consumer, Column::EventId])
                .do_nothing()
                .to_owned(),
        )
        .returning_col(Column::EventId);
    // In one order everywhere: two that write the same rows wait for each other, not crosswise.
    let mut ids: Vec<Uuid> = events.into_iter().map(EventId::as_uuid).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    for id in ids {
        statement.values_panic([consumer.into(), id.into(), at.into()]);
    }
    let rows = connection.query_all(&statement).await?;
    let ids = rows
        .iter()
        .map(|row| row.try_get::<Uuid>("", "event_id").map(EventId::from_uuid));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Forgets some of what was applied long ago. Answers how much.
pub(crate) async fn purge(database: &Database) -> Result<u64, StorageError> {
    use sea_orm::{QueryOrder, QuerySelect};
    let old: Vec<(String, Uuid)> = Entity::find()
        .select_only()
        .columns([Column::Consumer, Column::EventId])
        .filter(Column::At.lt(now() - KEPT))
        .order_by_asc(Column::At)
        .limit(CHUNK)
        .into_tuple()
        .all(database.connection())
        .await?;
    let Some((consumer, _)) = old.first().cloned() else {
        return Ok(0);
    };
    let ids: Vec<Uuid> = old
        .into_iter()
        .filter(|(of, _)| *of == consumer)
        .map(|(_, id)| id)
        .collect();
    let purged = Entity::delete_many()
        .filter(Column::Consumer.eq(consumer))
        .filter(Column::EventId.is_in(ids))
        .exec(database.connection())
        .await?;
    Ok(purged.rows_affected)
}
