//! Several processes and a broker: leases, the inbox, what is kept of each broadcast, and indexes on those
//! rows of the outbox that are asked for.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, integer, string_len, string_len_null, timestamp_with_time_zone,
        timestamp_with_time_zone_null, uuid, uuid_null,
    },
};

/// What the bus needs.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Streams {
    Table,
    Id,
    BroadcastId,
}

#[derive(DeriveIden)]
enum Outbox {
    Table,
    Id,
    SentAt,
    DeadAt,
    DeadIn,
    DeadReason,
}

#[derive(DeriveIden)]
enum Leases {
    Table,
    Name,
    Holder,
    UntilUs,
}

#[derive(DeriveIden)]
enum Inbox {
    Table,
    Consumer,
    EventId,
    At,
}

#[derive(DeriveIden)]
enum Broadcasts {
    Table,
    Id,
    StreamId,
    StartedAt,
    EndedAt,
    PeakViewers,
    Sessions,
}

#[derive(DeriveIden)]
enum StreamTotals {
    Table,
    StreamId,
    Broadcasts,
    LiveMs,
    Sessions,
}

/// Indexes of part of a table, which the statement builder writes for neither database.
const PARTIAL: [&str; 3] = [
    "CREATE INDEX outbox_pending ON outbox (id) WHERE sent_at IS NULL AND dead_at IS NULL",
    "CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL",
    "CREATE INDEX outbox_dead ON outbox (id) WHERE dead_at IS NOT NULL",
];

fn of_stream<'a>(
    name: &str,
    key: &'a mut ForeignKeyCreateStatement,
) -> &'a mut ForeignKeyCreateStatement {
    key.name(name)
        .to(Streams::Table, Streams::Id)
        .on_delete(ForeignKeyAction::Cascade)
}

fn tables() -> Vec<TableCreateStatement> {
    let leases = Table::create()
        .table(Leases::Table)
        .col(string_len(Leases::Name, 64).primary_key())
        .col(uuid(Leases::Holder))
        .col(big_integer(Leases::UntilUs))
        .take();
    let inbox = Table::create()
        .table(Inbox::Table)
        .col(string_len(Inbox::Consumer, 64))
        .col(uuid(Inbox::EventId))
        .col(timestamp_with_time_zone(Inbox::At))
        .primary_key(Index::create().col(Inbox::Consumer).col(Inbox::EventId))
        .take();
    let broadcasts = Table::create()
        .table(Broadcasts::Table)
        .col(uuid(Broadcasts::Id).primary_key())
        .col(uuid(Broadcasts::StreamId))
        .col(timestamp_with_time_zone(Broadcasts::StartedAt))
        .col(timestamp_with_time_zone_null(Broadcasts::EndedAt))
        .col(integer(Broadcasts::PeakViewers))
        .col(big_integer(Broadcasts::Sessions))
        .foreign_key(of_stream(
            "broadcasts_stream",
            ForeignKey::create().from(Broadcasts::Table, Broadcasts::StreamId),
        ))
        .take();
    let totals = Table::create()
        .table(StreamTotals::Table)
        .col(uuid(StreamTotals::StreamId).primary_key())
        .col(big_integer(StreamTotals::Broadcasts))
        .col(big_integer(StreamTotals::LiveMs))
        .col(big_integer(StreamTotals::Sessions))
        .foreign_key(of_stream(
            "stream_totals_stream",
            ForeignKey::create().from(StreamTotals::Table, StreamTotals::StreamId),
        ))
        .take();
    vec![leases, inbox, broadcasts, totals]
}

fn add(table: impl IntoIden + 'static, mut column: ColumnDef) -> TableAlterStatement {
    Table::alter()
        .table(table.into_iden())
        .add_column(&mut column)
        .take()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for alter in [
            add(Streams::Table, uuid_null(Streams::BroadcastId)),
            add(Outbox::Table, string_len_null(Outbox::DeadIn, 64)),
            add(Outbox::Table, string_len_null(Outbox::DeadReason, 500)),
        ] {
            manager.alter_table(alter).await?;
        }
        for table in tables() {
            manager.create_table(table).await?;
        }
        let inbox = Index::create()
            .name("inbox_by_time")
            .table(Inbox::Table)
            .col(Inbox::At)
            .take();
        let broadcasts = Index::create()
            .name("broadcasts_by_stream")
            .table(Broadcasts::Table)
            .col(Broadcasts::StreamId)
            .col(Broadcasts::Id)
            .take();
        for index in [inbox, broadcasts] {
            manager.create_index(index).await?;
        }
        let old = Index::drop()
            .name("outbox_pending")
            .table(Outbox::Table)
            .to_owned();
        manager.drop_index(old).await?;
        for statement in PARTIAL {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["outbox_dead", "outbox_sent", "outbox_pending"] {
            let index = Index::drop().name(name).table(Outbox::Table).to_owned();
            manager.drop_index(index).await?;
        }
        let old = Index::create()
            .name("outbox_pending")
            .table(Outbox::Table)
            .col(Outbox::SentAt)
            .col(Outbox::DeadAt)
            .col(Outbox::Id)
            .take();
        manager.create_index(old).await?;
        for table in ["stream_totals", "broadcasts", "inbox", "leases"] {
            manager
                .drop_table(Table::drop().table(Alias::new(table)).take())
                .await?;
        }
        for column in [Outbox::DeadReason, Outbox::DeadIn] {
            let alter = Table::alter()
                .table(Outbox::Table)
                .drop_column(column)
                .take();
            manager.alter_table(alter).await?;
        }
        let alter = Table::alter()
            .table(Streams::Table)
            .drop_column(Streams::BroadcastId)
            .take();
        manager.alter_table(alter).await
    }
}
