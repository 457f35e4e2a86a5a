//! Indexes for what is asked often; a test explains every query on some thousand rows.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// New indexes: name, table, columns.
const ADDED: &[(&str, &str, &[&str])] = &[
    ("streams_by_state", "streams", &["state", "id"]),
    ("users_by_role", "users", &["role", "id"]),
    ("one_time_links_by_user", "one_time_links", &["user_id"]),
    (
        "playback_sessions_of_stream",
        "playback_sessions",
        &["stream_id", "id"],
    ),
    (
        "playback_sessions_by_link",
        "playback_sessions",
        &["link_id"],
    ),
    ("audit_log_of_actor", "audit_log", &["actor", "id"]),
    ("audit_log_of_subject", "audit_log", &["subject", "id"]),
    ("audit_log_of_action", "audit_log", &["action", "id"]),
];

/// Old ones that a new one begins with.
const REPLACED: &[(&str, &str, &str)] = &[
    (
        "playback_sessions_by_stream",
        "playback_sessions",
        "stream_id",
    ),
    ("audit_log_by_actor", "audit_log", "actor"),
    ("audit_log_by_subject", "audit_log", "subject"),
];

fn index(name: &str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(Alias::new(table)).take();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}

fn drop(name: &str, table: &'static str) -> IndexDropStatement {
    Index::drop().name(name).table(Alias::new(table)).to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, columns) in ADDED {
            manager.create_index(index(name, table, columns)).await?;
        }
        for (name, table, _) in REPLACED {
            manager.drop_index(drop(name, table)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, column) in REPLACED {
            manager.create_index(index(name, table, &[column])).await?;
        }
        for (name, table, _) in ADDED {
            manager.drop_index(drop(name, table)).await?;
        }
        Ok(())
    }
}
