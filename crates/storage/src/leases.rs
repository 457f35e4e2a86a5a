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

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub instance: InstanceId,
    /// Where it answers the others, if it said so.
    pub address: Option<String>,
}

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
        self.write(name, holder, None, ttl).await
    }

    /// The same, saying where `holder` answers the others.
    pub async fn take_at(
        &self,
        name: &str,
        holder: InstanceId,
        address: &str,
        ttl: Duration,
    ) -> Result<bool, StorageError> {
        self.write(name, holder, Some(address), ttl).await
    }

    /// Who has the lease; nobody when it ran out.
    pub async fn holder(&self, name: &str) -> Result<Option<Holder>, StorageError> {
        let found = Entity::find_by_id(name)
            .filter(Expr::col((Entity, Column::UntilUs)).gte(self.now()))
            .one(self.database.connection())
            .await?;
        Ok(found.map(|lease| Holder {
            instance: InstanceId::from_uuid(lease.holder),
            address: lease.address,
        }))
    }

    fn now(&self) -> SimpleExpr {
        if self.database.is_sqlite() {
            micros(now()).into()
        } else {
            Expr::cust("(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint")
        }
    }

    async fn write(
        &self,
        name: &str,
        holder: InstanceId,
        address: Option<&str>,
        ttl: Duration,
    ) -> Result<bool, StorageError> {
        let ttl_us = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX / 2);
        let now = self.now();
        let free = Expr::col((Entity, Column::Holder))
            .eq(holder.as_uuid())
            .or(Expr::col((Entity, Column::UntilUs)).lt(now.clone()));
        let mut statement = Query::insert();
        statement
            .into_table(Entity)
            .columns([
                Column::Name,
                Column::Holder,
                Column::UntilUs,
                Column::Address,
            ])
            .values_panic([
                name.into(),
                holder.as_uuid().into(),
                now.add(Expr::value(ttl_us)),
                address.map(str::to_owned).into(),
            ])
            .on_conflict(
                OnConflict::column(Column::Name)
                    .update_columns([Column::Holder, Column::UntilUs, Column::Address])
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
