//! What is kept of past broadcasts, and their sums. Written from events, each of which takes effect once:
//! a broadcast's row and its stream's sums stand in one transaction with the inbox.

use std::collections::{BTreeMap, HashSet};

use events::{Broadcast, Event, Fact};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Func, OnConflict},
};
use time::{Duration, OffsetDateTime};
use types::{BroadcastId, StreamId};
use uuid::Uuid;

use crate::{
    Database, StorageError,
    entity::{broadcast, stream, stream_total},
    inbox,
};

/// A time on air.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastRecord {
    /// Its id.
    pub id: BroadcastId,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When it ended, if its end was heard of.
    pub ended_at: Option<OffsetDateTime>,
    /// The most viewers at once.
    pub peak_viewers: u32,
    /// Playback sessions opened.
    pub sessions: u64,
}

/// The sums over a stream's broadcasts that are over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamTotals {
    /// How many.
    pub broadcasts: u64,
    /// The time on air.
    pub live: std::time::Duration,
    /// Playback sessions opened.
    pub sessions: u64,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct StreamHistory {
    database: Database,
}

/// What a batch adds.
#[derive(Default)]
struct Additions {
    broadcasts: BTreeMap<Uuid, (StreamId, Broadcast, bool)>,
    totals: BTreeMap<Uuid, StreamTotals>,
}

impl Additions {
    /// Takes one event. An end tells all, so it does not matter whether its start comes before.
    fn add(&mut self, event: &Event) {
        match &event.fact {
            Fact::StreamStarted {
                stream, broadcast, ..
            } => {
                let began = Broadcast {
                    id: *broadcast,
                    started_us: event.time_us,
                    ended_us: event.time_us,
                    peak_viewers: 0,
                    sessions: 0,
                };
                self.broadcasts
                    .entry(broadcast.as_uuid())
                    .or_insert((*stream, began, false));
            }
            Fact::StreamEnded {
                stream, broadcast, ..
            } => {
                self.broadcasts
                    .insert(broadcast.id.as_uuid(), (*stream, *broadcast, true));
                let total = self.totals.entry(stream.as_uuid()).or_default();
                let live_us = u64::try_from(broadcast.ended_us - broadcast.started_us);
                total.broadcasts += 1;
                total.live += std::time::Duration::from_micros(live_us.unwrap_or(0));
                total.sessions += broadcast.sessions;
            }
            _ => {}
        }
    }
}

fn at(micros: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::microseconds(micros)
}

fn corrupt(column: &'static str) -> StorageError {
    StorageError::Corrupt {
        table: "broadcasts",
        column,
    }
}

impl StreamHistory {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Applies a batch of events for `consumer`, all in one transaction; those it applied before, and those
    /// of streams that are gone, change nothing. Answers how many took effect.
    pub async fn apply(&self, consumer: &str, events: &[Event]) -> Result<usize, StorageError> {
        let transaction = self.database.begin().await?;
        let fresh = inbox::fresh(&transaction, consumer, events.iter().map(|event| event.id));
        let mut fresh = fresh.await?;
        let known = known(&transaction, events).await?;
        let mut additions = Additions::default();
        let mut applied = 0;
        for event in events {
            let known = event.stream().is_some_and(|id| known.contains(&id));
            // Removed: the same event may be in the batch twice.
            if fresh.remove(&event.id) && known {
                additions.add(event);
                applied += 1;
            }
        }
        write_broadcasts(&transaction, additions.broadcasts).await?;
        write_totals(&transaction, additions.totals).await?;
        transaction.commit().await?;
        Ok(applied)
    }

    /// A stream's broadcasts, newest first, `limit` at most, before `after`.
    pub async fn of(
        &self,
        stream: StreamId,
        after: Option<BroadcastId>,
        limit: u32,
    ) -> Result<Vec<BroadcastRecord>, StorageError> {
        use broadcast::Column;
        let mut query = broadcast::Entity::find()
            .filter(Column::StreamId.eq(stream.as_uuid()))
            .order_by_desc(Column::Id)
            .limit(u64::from(limit));
        if let Some(after) = after {
            query = query.filter(Column::Id.lt(after.as_uuid()));
        }
        let rows = query.all(self.database.connection()).await?;
        let record = |row: broadcast::Model| {
            Ok(BroadcastRecord {
                id: BroadcastId::from_uuid(row.id),
                started_at: row.started_at,
                ended_at: row.ended_at,
                peak_viewers: u32::try_from(row.peak_viewers)
                    .map_err(|_| corrupt("peak_viewers"))?,
                sessions: u64::try_from(row.sessions).map_err(|_| corrupt("sessions"))?,
            })
        };
        rows.into_iter().map(record).collect()
    }

    /// A stream's sums.
    pub async fn totals(&self, stream: StreamId) -> Result<StreamTotals, StorageError> {
        let row = stream_total::Entity::find_by_id(stream.as_uuid())
            .one(self.database.connection())
            .await?;
        Ok(row.map_or_else(StreamTotals::default, |row| StreamTotals {
            broadcasts: row.broadcasts.cast_unsigned(),
            live: std::time::Duration::from_millis(row.live_ms.cast_unsigned()),
            sessions: row.sessions.cast_unsigned(),
        }))
    }

    /// Forgets which events took effect long ago, some at once. Answers how many.
    pub async fn purge(&self) -> Result<u64, StorageError> {
        inbox::purge(&self.database).await
    }
}

/// Which of the events' streams exist.
async fn known(
    connection: &impl ConnectionTrait,
    events: &[Event],
) -> Result<HashSet<StreamId>, StorageError> {
    let ids: HashSet<Uuid> = events
        .iter()
        .filter_map(|event| event.stream().map(StreamId::as_uuid))
        .collect();
    let found: Vec<Uuid> = stream::Entity::find()
        .select_only()
        .column(stream::Column::Id)
        .filter(stream::Column::Id.is_in(ids))
        .into_tuple()
        .all(connection)
        .await?;
    Ok(found.into_iter().map(StreamId::from_uuid).collect())
}

async fn write_broadcasts(
    connection: &impl ConnectionTrait,
    broadcasts: BTreeMap<Uuid, (StreamId, Broadcast, bool)>,
) -> Result<(), StorageError> {
    use broadcast::Column;
    if broadcasts.is_empty() {
        return Ok(());
    }
    let rows = broadcasts
        .into_values()
        .map(|(stream, told, over)| broadcast::ActiveModel {
            id: Set(told.id.as_uuid()),
            stream_id: Set(stream.as_uuid()),
            started_at: Set(at(told.started_us)),
            ended_at: Set(over.then(|| at(told.ended_us))),
            peak_viewers: Set(i32::try_from(told.peak_viewers).unwrap_or(i32::MAX)),
            sessions: Set(i64::try_from(told.sessions).unwrap_or(i64::MAX)),
        });
    let new = |column| Expr::col(("excluded", column));
    let kept = |column| Expr::col((broadcast::Entity, column));
    // A start that comes after its end adds nothing.
    let merge = OnConflict::column(Column::Id)
        .value(
            Column::EndedAt,
            Func::coalesce([new(Column::EndedAt), kept(Column::EndedAt)]),
        )
        .value(
            Column::PeakViewers,
            larger(new(Column::PeakViewers), kept(Column::PeakViewers)),
        )
        .value(
            Column::Sessions,
            larger(new(Column::Sessions), kept(Column::Sessions)),
        )
        .to_owned();
    broadcast::Entity::insert_many(rows)
        .on_conflict(merge)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

fn larger(one: Expr, other: Expr) -> Expr {
    Expr::case(one.clone().gt(other.clone()), one)
        .finally(other)
        .into()
}

async fn write_totals(
    connection: &impl ConnectionTrait,
    totals: BTreeMap<Uuid, StreamTotals>,
) -> Result<(), StorageError> {
    use stream_total::Column;
    if totals.is_empty() {
        return Ok(());
    }
    let rows = totals
        .into_iter()
        .map(|(stream, total)| stream_total::ActiveModel {
            stream_id: Set(stream),
            broadcasts: Set(total.broadcasts.cast_signed()),
            live_ms: Set(total.live.as_millis() as i64),
            sessions: Set(total.sessions.cast_signed()),
        });
    let mut sums = OnConflict::column(Column::StreamId);
    for column in [Column::Broadcasts, Column::LiveMs, Column::Sessions] {
        let sum = Expr::col((stream_total::Entity, column)).add(Expr::col(("excluded", column)));
        sums.value(column, sum);
    }
    stream_total::Entity::insert_many(rows)
        .on_conflict(sums)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
