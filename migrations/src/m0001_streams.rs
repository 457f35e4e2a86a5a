//! Streams, their keys, the origins' fencing numbers, and the outbox.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, binary_len, integer, string_len, timestamp_with_time_zone,
        timestamp_with_time_zone_null, uuid, var_binary,
    },
};

/// The first schema.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Streams {
    Table,
    Id,
    Slug,
    Title,
    State,
    Version,
    CreatedAt,
    StartedAt,
    EndedAt,
}

#[derive(DeriveIden)]
enum StreamKeys {
    Table,
    Id,
    StreamId,
    Hash,
    CreatedAt,
}

#[derive(DeriveIden)]
enum Origins {
    Table,
    StreamId,
    Epoch,
    Msn,
    TargetDurationS,
    PartTargetMs,
    DiscontinuitySequence,
    UpdatedAt,
}

#[derive(DeriveIden)]
enum OriginKeys {
    Table,
    KeyId,
    PublicKey,
    CreatedAt,
}

#[derive(DeriveIden)]
enum Outbox {
    Table,
    Id,
    Payload,
    Attempts,
    CreatedAt,
    SentAt,
    DeadAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let streams = Table::create()
            .table(Streams::Table)
            .col(uuid(Streams::Id).primary_key())
            .col(string_len(Streams::Slug, 64).unique_key())
            .col(string_len(Streams::Title, 200))
            .col(string_len(Streams::State, 16))
            .col(big_integer(Streams::Version))
            .col(timestamp_with_time_zone(Streams::CreatedAt))
            .col(timestamp_with_time_zone_null(Streams::StartedAt))
            .col(timestamp_with_time_zone_null(Streams::EndedAt))
            .take();
        let keys = Table::create()
            .table(StreamKeys::Table)
            .col(uuid(StreamKeys::Id).primary_key())
            .col(uuid(StreamKeys::StreamId))
            .col(binary_len(StreamKeys::Hash, 32).unique_key())
            .col(timestamp_with_time_zone(StreamKeys::CreatedAt))
            .foreign_key(
                ForeignKey::create()
                    .name("stream_keys_stream")
                    .from(StreamKeys::Table, StreamKeys::StreamId)
                    .to(Streams::Table, Streams::Id)
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        let origins = Table::create()
            .table(Origins::Table)
            .col(uuid(Origins::StreamId).primary_key())
            .col(big_integer(Origins::Epoch))
            .col(big_integer(Origins::Msn))
            .col(integer(Origins::TargetDurationS))
            .col(integer(Origins::PartTargetMs))
            .col(big_integer(Origins::DiscontinuitySequence))
            .col(timestamp_with_time_zone(Origins::UpdatedAt))
            .foreign_key(
                ForeignKey::create()
                    .name("origins_stream")
                    .from(Origins::Table, Origins::StreamId)
                    .to(Streams::Table, Streams::Id)
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        let origin_keys = Table::create()
            .table(OriginKeys::Table)
            .col(string_len(OriginKeys::KeyId, 64).primary_key())
            .col(binary_len(OriginKeys::PublicKey, 32))
            .col(timestamp_with_time_zone(OriginKeys::CreatedAt))
            .take();
        let outbox = Table::create()
            .table(Outbox::Table)
            .col(uuid(Outbox::Id).primary_key())
            .col(var_binary(Outbox::Payload, 65536))
            .col(integer(Outbox::Attempts).default(0))
            .col(timestamp_with_time_zone(Outbox::CreatedAt))
            .col(timestamp_with_time_zone_null(Outbox::SentAt))
            .col(timestamp_with_time_zone_null(Outbox::DeadAt))
            .take();
        for table in [streams, keys, origins, origin_keys, outbox] {
            manager.create_table(table).await?;
        }
        manager
            .create_index(
                Index::create()
                    .name("stream_keys_by_stream")
                    .table(StreamKeys::Table)
                    .col(StreamKeys::StreamId)
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("outbox_pending")
                    .table(Outbox::Table)
                    .col(Outbox::SentAt)
                    .col(Outbox::DeadAt)
                    .col(Outbox::Id)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["outbox", "origin_keys", "origins", "stream_keys", "streams"] {
            manager
                .drop_table(Table::drop().table(Alias::new(table)).take())
                .await?;
        }
        Ok(())
    }
}
