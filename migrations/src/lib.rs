//! The database's schema, step by step; runs on SQLite and PostgreSQL.
//!
//! Owns tables and indexes. A table belongs to one service: all of these are the coordinator's.

pub use sea_orm_migration::prelude::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m0001_streams;
mod m0002_people;
mod m0003_bus;
mod m0004_indexes;

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
        ]
    }
}
