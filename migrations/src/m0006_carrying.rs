//! Who carried what: the facts of sessions, what counts of them, and roll-ups. All of these are
//! `stats-collector`'s.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, binary_len, boolean, integer, string_len, text, uuid},
};

/// What reconciliation needs.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// A column of a table that is described in words.
fn column(name: &'static str, kind: &str) -> ColumnDef {
    let name = Alias::new(name);
    match kind {
        "uuid" => uuid(name),
        "time" | "bytes" | "count" => big_integer(name),
        "time?" => big_integer_null(name),
        "int" => integer(name),
        "flag" => boolean(name),
        "hash" => binary_len(name, 8),
        "word" => string_len(name, 40),
        _ => text(name),
    }
}

type Column = (&'static str, &'static str);

/// Tables: name, columns, how many of them are the primary key.
const TABLES: &[(&str, &[Column], usize)] = &[
    (
        "carried_sessions",
        &[
            ("session_id", "uuid"),
            ("stream_id", "uuid"),
            ("started_ms", "time"),
            ("ended_ms", "time?"),
            ("household", "hash"),
        ],
        1,
    ),
    (
        "assignments",
        &[
            ("session_id", "uuid"),
            ("node_id", "uuid"),
            ("from_ms", "time"),
            ("stream_id", "uuid"),
            ("until_ms", "time?"),
            ("bitrate_bps", "count"),
            ("own", "flag"),
        ],
        3,
    ),
    (
        "receipts",
        &[
            ("session_id", "uuid"),
            ("epoch", "int"),
            ("counter", "count"),
            ("stream_id", "uuid"),
            ("at_ms", "time"),
            ("peer_bytes", "bytes"),
            ("edge_bytes", "bytes"),
        ],
        3,
    ),
    (
        "receipt_nodes",
        &[
            ("session_id", "uuid"),
            ("epoch", "int"),
            ("counter", "count"),
            ("node_id", "uuid"),
            ("bytes", "bytes"),
        ],
        4,
    ),
    (
        "deliveries",
        &[
            ("session_id", "uuid"),
            ("node_id", "uuid"),
            ("run_id", "uuid"),
            ("sequence", "count"),
            ("stream_id", "uuid"),
            ("from_ms", "time"),
            ("to_ms", "time"),
            ("bytes", "bytes"),
            ("refused", "word"),
        ],
        4,
    ),
    (
        "contributions",
        &[
            ("session_id", "uuid"),
            ("node_id", "uuid"),
            ("minute_ms", "time"),
            ("stream_id", "uuid"),
            ("carried_bytes", "bytes"),
            ("earning_bytes", "bytes"),
        ],
        3,
    ),
    (
        "session_minutes",
        &[
            ("session_id", "uuid"),
            ("minute_ms", "time"),
            ("stream_id", "uuid"),
            ("friend_bytes", "bytes"),
            ("peer_bytes", "bytes"),
            ("edge_bytes", "bytes"),
        ],
        2,
    ),
    (
        "edge_minutes",
        &[
            ("edge_id", "uuid"),
            ("stream_id", "uuid"),
            ("minute_ms", "time"),
            ("viewer_bytes", "bytes"),
            ("node_bytes", "bytes"),
        ],
        3,
    ),
    (
        "node_totals",
        &[
            ("grain", "word"),
            ("bucket_ms", "time"),
            ("stream_id", "uuid"),
            ("node_id", "uuid"),
            ("carried_bytes", "bytes"),
            ("earning_bytes", "bytes"),
            ("sessions", "count"),
        ],
        4,
    ),
    (
        "stream_totals_by_time",
        &[
            ("grain", "word"),
            ("bucket_ms", "time"),
            ("stream_id", "uuid"),
            ("friend_bytes", "bytes"),
            ("peer_bytes", "bytes"),
            ("edge_bytes", "bytes"),
            ("node_bytes", "bytes"),
        ],
        3,
    ),
    (
        "dirty_sessions",
        &[("session_id", "uuid"), ("due_ms", "time")],
        1,
    ),
    (
        "dirty_days",
        &[("stream_id", "uuid"), ("day_ms", "time")],
        2,
    ),
    (
        "findings",
        &[
            ("session_id", "uuid"),
            ("node_id", "uuid"),
            ("kind", "word"),
            ("stream_id", "uuid"),
            ("at_ms", "time"),
            ("bytes", "bytes"),
        ],
        3,
    ),
];

/// Indexes: name, table, columns.
const INDEXES: &[(&str, &str, &[&str])] = &[
    (
        "contributions_by_stream",
        "contributions",
        &["stream_id", "minute_ms"],
    ),
    (
        "contributions_by_node",
        "contributions",
        &["node_id", "minute_ms"],
    ),
    ("contributions_by_time", "contributions", &["minute_ms"]),
    (
        "session_minutes_by_stream",
        "session_minutes",
        &["stream_id", "minute_ms"],
    ),
    ("session_minutes_by_time", "session_minutes", &["minute_ms"]),
    (
        "edge_minutes_by_stream",
        "edge_minutes",
        &["stream_id", "minute_ms"],
    ),
    ("edge_minutes_by_time", "edge_minutes", &["minute_ms"]),
    (
        "node_totals_by_node",
        "node_totals",
        &["node_id", "grain", "bucket_ms"],
    ),
    (
        "stream_totals_by_stream",
        "stream_totals_by_time",
        &["stream_id", "grain", "bucket_ms"],
    ),
    (
        "carried_sessions_by_time",
        "carried_sessions",
        &["started_ms"],
    ),
    ("dirty_sessions_by_time", "dirty_sessions", &["due_ms"]),
    ("findings_of_node", "findings", &["node_id", "at_ms"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, columns, keys) in TABLES {
            let mut table = Table::create().table(Alias::new(*name)).take();
            for (name, kind) in *columns {
                table.col(column(name, kind));
            }
            let mut key = Index::create();
            for (name, _) in columns.iter().take(*keys) {
                key.col(Alias::new(*name));
            }
            table.primary_key(&mut key);
            manager.create_table(table).await?;
        }
        for (name, table, columns) in INDEXES {
            let mut index = Index::create().name(*name).table(Alias::new(*table)).take();
            for column in *columns {
                index.col(Alias::new(*column));
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _, _) in TABLES.iter().rev() {
            manager
                .drop_table(Table::drop().table(Alias::new(*name)).take())
                .await?;
        }
        Ok(())
    }
}
