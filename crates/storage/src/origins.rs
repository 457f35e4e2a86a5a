//! Fencing numbers of origins: counted here whichever adapter holds the lease, so no restart repeats one.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, OnConflict},
};
use types::{Epoch, Msn, StreamId};

use crate::{
    Database, StorageError,
    entity::{origin, origin_key},
    outbox::now,
};

/// What is known of a stream's packaging, for whoever packages it next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginRecord {
    /// The fencing number of the latest lease.
    pub epoch: Epoch,
    /// The highest media sequence number that may be in use.
    pub msn: Msn,
    /// `EXT-X-TARGETDURATION` in seconds; 0 while none was fixed.
    pub target_duration_s: u32,
    /// `PART-TARGET` in milliseconds; 0 while none was fixed.
    pub part_target_ms: u32,
    /// Discontinuities before and within the latest epoch.
    pub discontinuity_sequence: u64,
    /// Unix time in milliseconds of the latest record.
    pub updated_unix_ms: i64,
}

/// The public half of an origin's digest key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginKey {
    /// Names it in digests.
    pub key_id: String,
    /// Ed25519.
    pub public_key: [u8; 32],
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Origins {
    database: Database,
}

impl From<origin::Model> for OriginRecord {
    fn from(row: origin::Model) -> Self {
        Self {
            epoch: Epoch::new(row.epoch as u64),
            msn: Msn::new(row.msn as u64),
            target_duration_s: row.target_duration_s as u32,
            part_target_ms: row.part_target_ms as u32,
            discontinuity_sequence: row.discontinuity_sequence as u64,
            updated_unix_ms: (row.updated_at.unix_timestamp_nanos() / 1_000_000) as i64,
        }
    }
}

impl Origins {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Opens the stream's next epoch. Answers it with what the epoch before left.
    pub async fn open_epoch(&self, stream: StreamId) -> Result<OriginRecord, StorageError> {
        let transaction = self.database.begin().await?;
        let first = origin::ActiveModel {
            stream_id: Set(stream.as_uuid()),
            epoch: Set(0),
            msn: Set(0),
            target_duration_s: Set(0),
            part_target_ms: Set(0),
            discontinuity_sequence: Set(0),
            updated_at: Set(now()),
        };
        origin::Entity::insert(first)
            .on_conflict(
                OnConflict::column(origin::Column::StreamId)
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(&transaction)
            .await?;
        origin::Entity::update_many()
            .col_expr(
                origin::Column::Epoch,
                Expr::col(origin::Column::Epoch).add(1),
            )
            .filter(origin::Column::StreamId.eq(stream.as_uuid()))
            .exec(&transaction)
            .await?;
        let row = origin::Entity::find_by_id(stream.as_uuid())
            .one(&transaction)
            .await?;
        let row = row.ok_or(StorageError::NoStream(stream))?;
        transaction.commit().await?;
        Ok(row.into())
    }

    /// Records what `record.epoch` uses. `false` when a higher epoch was opened: the caller is fenced.
    pub async fn record(
        &self,
        stream: StreamId,
        record: OriginRecord,
    ) -> Result<bool, StorageError> {
        let updated = origin::Entity::update_many()
            .col_expr(origin::Column::Msn, Expr::value(record.msn.get() as i64))
            .col_expr(
                origin::Column::TargetDurationS,
                Expr::value(record.target_duration_s as i32),
            )
            .col_expr(
                origin::Column::PartTargetMs,
                Expr::value(record.part_target_ms as i32),
            )
            .col_expr(
                origin::Column::DiscontinuitySequence,
                Expr::value(record.discontinuity_sequence as i64),
            )
            .col_expr(origin::Column::UpdatedAt, Expr::value(now()))
            .filter(origin::Column::StreamId.eq(stream.as_uuid()))
            .filter(origin::Column::Epoch.eq(record.epoch.get() as i64))
            // Numbers never go back, whatever order reports arrive in.
            .filter(origin::Column::Msn.lte(record.msn.get() as i64))
            .exec(self.database.connection())
            .await?;
        if updated.rows_affected > 0 {
            return Ok(true);
        }
        Ok(self
            .get(stream)
            .await?
            .is_none_or(|current| current.epoch == record.epoch))
    }

    /// The stream's record, if it was ever packaged.
    pub async fn get(&self, stream: StreamId) -> Result<Option<OriginRecord>, StorageError> {
        let row = origin::Entity::find_by_id(stream.as_uuid())
            .one(self.database.connection())
            .await?;
        Ok(row.map(Into::into))
    }

    /// Makes the public half of an origin's digest key known.
    pub async fn put_key(&self, key: &OriginKey) -> Result<(), StorageError> {
        let row = origin_key::ActiveModel {
            key_id: Set(key.key_id.clone()),
            public_key: Set(key.public_key.to_vec()),
            created_at: Set(now()),
        };
        origin_key::Entity::insert(row)
            .on_conflict(
                OnConflict::column(origin_key::Column::KeyId)
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(self.database.connection())
            .await?;
        Ok(())
    }

    /// The public halves of the keys that origins sign digests with, the newest last.
    pub async fn keys(&self) -> Result<Vec<OriginKey>, StorageError> {
        let rows = origin_key::Entity::find()
            .order_by_asc(origin_key::Column::CreatedAt)
            .all(self.database.connection())
            .await?;
        rows.into_iter()
            .map(|row| {
                let public_key = row
                    .public_key
                    .try_into()
                    .map_err(|_| StorageError::Corrupt {
                        table: "origin_keys",
                        column: "public_key",
                    })?;
                Ok(OriginKey {
                    key_id: row.key_id,
                    public_key,
                })
            })
            .collect()
    }
}
