//! The database's schema, step by step; runs on SQLite and PostgreSQL.
//!
//! Owns tables and indexes. A table belongs to one service: those of `m0006` are `stats-collector`'s, the others
//! the coordinator's; outbox, inbox and leases are shared, each service writing its own rows.

pub use sea_orm_migration::prelude::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m0001_streams;
mod m0002_people;
mod m0003_bus;
mod m0004_indexes;
mod m0005_friends;
mod m0006_carrying;
mod m0007_keeper;

/// All migrations, in order.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_streams::Migration),
            Box::new(m0002_people::Migration),
            Box::new(m0003_bus::Migration),
            Box::new(m0004_indexes::Migration),
            Box::new(m0005_friends::Migration),
            Box::new(m0006_carrying::Migration),
            Box::new(m0007_keeper::Migration),
        ]
    }
}
