//! What one process at a time may do: a row each, held for a time and renewed.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter,
    sea_query::{Expr, OnConflict, Query, SimpleExpr},
};
use types::InstanceId;

use crate::{
    Database, StorageError,
    entity::lease::{Column, Entity},
    outbox::{micros, now},
};

/// The repository.
#[derive(Debug, Clone)]
pub struct Leases {
    database: Database,
}

impl Leases {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Takes the lease, or keeps it, for `ttl` from now. Answers whether `holder` has it. On PostgreSQL
    /// the database's clock decides, on SQLite the machine's, which is the same for all.
    pub async fn take(
        &self,
        name: &str,
        holder: InstanceId,
        ttl: Duration,
    ) -> Result<bool, StorageError> {
        let ttl_us = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX / 2);
        let now: SimpleExpr = if self.database.is_sqlite() {
            micros(now()).into()
        } else {
            Expr::cust("(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint")
        };
        let free = Expr::col((Entity, Column::Holder))
            .eq(holder.as_uuid())
            .or(Expr::col((Entity, Column::UntilUs)).lt(now.clone()));
        let mut statement = Query::insert();
        statement
            .into_table(Entity)
            .columns([Column::Name, Column::Holder, Column::UntilUs])
            .values_panic([
                name.into(),
                holder.as_uuid().into(),
                now.add(Expr::value(ttl_us)),
            ])
            .on_conflict(
                OnConflict::column(Column::Name)
                    .update_columns([Column::Holder, Column::UntilUs])
                    .action_and_where(free)
                    .to_owned(),
            );
        let written = self.database.connection().execute(&statement).await?;
        Ok(written.rows_affected() > 0)
    }

    /// Gives the lease back, if `holder` has it.
    pub async fn release(&self, name: &str, holder: InstanceId) -> Result<(), StorageError> {
        Entity::delete_many()
            .filter(Column::Name.eq(name))
            .filter(Column::Holder.eq(holder.as_uuid()))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }
}
