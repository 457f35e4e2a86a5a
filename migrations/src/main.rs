//! `streamr-migrations <database url>`: brings a database to the current schema.

use anyhow::Context;
use migrations::{Migrator, MigratorTrait};
use sea_orm_migration::sea_orm::Database;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args()
        .nth(1)
        .context("usage: streamr-migrations <sqlite:… or postgres://… URL>")?;
    let database = Database::connect(url)
        .await
        .context("connect to the database")?;
    Migrator::up(&database, None).await.context("migrate")
}
