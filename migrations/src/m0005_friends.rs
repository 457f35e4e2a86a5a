//! Friends: nodes, invites, who carries which stream, and the evidence against nodes.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer_null, binary_len, boolean, string_len, string_len_null, text,
        timestamp_with_time_zone, timestamp_with_time_zone_null, uuid, uuid_null,
    },
};

/// What carrying needs.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Streams {
    Table,
    Id,
    Delivery,
    FriendsOnly,
}

#[derive(DeriveIden)]
enum Nodes {
    Table,
    Id,
    PublicKey,
    Name,
    Version,
    CreatedAt,
    MeasuredBps,
    MeasuredAt,
    QuarantinedAt,
    QuarantineReason,
}

#[derive(DeriveIden)]
enum Invites {
    Table,
    Id,
    StreamId,
    Hash,
    Name,
    CreatedAt,
    ExpiresAt,
    UsedAt,
    UsedBy,
    RevokedAt,
}

#[derive(DeriveIden)]
enum Friends {
    Table,
    StreamId,
    NodeId,
    Name,
    JoinedAt,
    PausedAt,
    RemovedAt,
}

#[derive(DeriveIden)]
enum NodeEvidence {
    Table,
    Id,
    NodeId,
    StreamId,
    At,
    Kind,
    Detail,
}

fn of_stream<'a>(
    name: &str,
    key: &'a mut ForeignKeyCreateStatement,
) -> &'a mut ForeignKeyCreateStatement {
    key.name(name)
        .to(Streams::Table, Streams::Id)
        .on_delete(ForeignKeyAction::Cascade)
}

fn of_node<'a>(
    name: &str,
    key: &'a mut ForeignKeyCreateStatement,
) -> &'a mut ForeignKeyCreateStatement {
    key.name(name)
        .to(Nodes::Table, Nodes::Id)
        .on_delete(ForeignKeyAction::Cascade)
}

fn tables() -> Vec<TableCreateStatement> {
    let nodes = Table::create()
        .table(Nodes::Table)
        .col(uuid(Nodes::Id).primary_key())
        .col(binary_len(Nodes::PublicKey, 32).unique_key())
        .col(string_len(Nodes::Name, 40))
        .col(string_len(Nodes::Version, 32))
        .col(timestamp_with_time_zone(Nodes::CreatedAt))
        .col(big_integer_null(Nodes::MeasuredBps))
        .col(timestamp_with_time_zone_null(Nodes::MeasuredAt))
        .col(timestamp_with_time_zone_null(Nodes::QuarantinedAt))
        .col(string_len_null(Nodes::QuarantineReason, 200))
        .take();
    let invites = Table::create()
        .table(Invites::Table)
        .col(uuid(Invites::Id).primary_key())
        .col(uuid(Invites::StreamId))
        .col(binary_len(Invites::Hash, 32).unique_key())
        .col(string_len(Invites::Name, 40))
        .col(timestamp_with_time_zone(Invites::CreatedAt))
        .col(timestamp_with_time_zone(Invites::ExpiresAt))
        .col(timestamp_with_time_zone_null(Invites::UsedAt))
        .col(uuid_null(Invites::UsedBy))
        .col(timestamp_with_time_zone_null(Invites::RevokedAt))
        .foreign_key(of_stream(
            "invites_stream",
            ForeignKey::create().from(Invites::Table, Invites::StreamId),
        ))
        .take();
    let friends = Table::create()
        .table(Friends::Table)
        .col(uuid(Friends::StreamId))
        .col(uuid(Friends::NodeId))
        .col(string_len(Friends::Name, 40))
        .col(timestamp_with_time_zone(Friends::JoinedAt))
        .col(timestamp_with_time_zone_null(Friends::PausedAt))
        .col(timestamp_with_time_zone_null(Friends::RemovedAt))
        .primary_key(Index::create().col(Friends::StreamId).col(Friends::NodeId))
        .foreign_key(of_stream(
            "friends_stream",
            ForeignKey::create().from(Friends::Table, Friends::StreamId),
        ))
        .foreign_key(of_node(
            "friends_node",
            ForeignKey::create().from(Friends::Table, Friends::NodeId),
        ))
        .take();
    let evidence = Table::create()
        .table(NodeEvidence::Table)
        .col(uuid(NodeEvidence::Id).primary_key())
        .col(uuid(NodeEvidence::NodeId))
        .col(uuid_null(NodeEvidence::StreamId))
        .col(timestamp_with_time_zone(NodeEvidence::At))
        .col(string_len(NodeEvidence::Kind, 40))
        .col(text(NodeEvidence::Detail))
        .foreign_key(of_node(
            "node_evidence_node",
            ForeignKey::create().from(NodeEvidence::Table, NodeEvidence::NodeId),
        ))
        .take();
    vec![nodes, invites, friends, evidence]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        Index::create()
            .name("invites_by_stream")
            .table(Invites::Table)
            .col(Invites::StreamId)
            .col(Invites::Id)
            .take(),
        Index::create()
            .name("friends_by_node")
            .table(Friends::Table)
            .col(Friends::NodeId)
            .take(),
        Index::create()
            .name("node_evidence_of_node")
            .table(NodeEvidence::Table)
            .col(NodeEvidence::NodeId)
            .col(NodeEvidence::Id)
            .take(),
    ]
}

fn add(mut column: ColumnDef) -> TableAlterStatement {
    Table::alter()
        .table(Streams::Table)
        .add_column(&mut column)
        .take()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let delivery = string_len(Streams::Delivery, 16)
            .default("low_latency")
            .take();
        let friends_only = boolean(Streams::FriendsOnly).default(true).take();
        // SQLite adds one column at a time.
        for column in [delivery, friends_only] {
            manager.alter_table(add(column)).await?;
        }
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["node_evidence", "friends", "invites", "nodes"] {
            manager
                .drop_table(Table::drop().table(Alias::new(table)).take())
                .await?;
        }
        for column in [Streams::FriendsOnly, Streams::Delivery] {
            let alter = Table::alter()
                .table(Streams::Table)
                .drop_column(column)
                .take();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
