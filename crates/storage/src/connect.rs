//! Connecting, by URL scheme, and migrating.

use std::{num::NonZeroU32, time::Duration};

use migrations::{Migrator, MigratorTrait};
use runtime::Config;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DbBackend, DbErr,
    sqlx::{
        postgres::PgConnectOptions,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use types::Secret;

use crate::{
    Audit, Carrying, EvidenceLog, Friends, Gathered, Idempotency, Leases, Links, Logins, Origins,
    OutboxTable, Settings, Shares, SigningKeys, StorageError, StreamHistory, Streams, Users,
    link::{Link, Transaction},
};

/// How long a statement waits for another process's write on SQLite, and the first connection for a
/// database that starts.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a statement waits for one of the pool's connections to PostgreSQL.
const ACQUIRE: Duration = Duration::from_secs(2);
/// How long a migration, or the wait for another process's, may take.
const MIGRATION: Duration = Duration::from_secs(600);
/// Connections to PostgreSQL when nothing is said.
const CONNECTIONS: NonZeroU32 = NonZeroU32::new(16).unwrap();

/// What PostgreSQL itself ends, in milliseconds: a statement, its wait for a lock, a transaction whose
/// owner went silent; and when it looks after clients that vanished, in seconds.
const LIMITS: [(&str, &str); 6] = [
    ("statement_timeout", "5000"),
    ("lock_timeout", "3000"),
    ("idle_in_transaction_session_timeout", "10000"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

/// A database that is ready to use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    link: Link,
}

impl Database {
    /// [`Self::open`] with as many connections as are good for one small service.
    pub async fn connect(url: &Secret<String>) -> Result<Self, StorageError> {
        Self::open(url, CONNECTIONS).await
    }

    /// Connects to `sqlite:<file>` (made when missing) or `postgres://…`, and brings the schema up to date.
    /// PostgreSQL is used over `connections` at most; SQLite knows itself.
    pub async fn open(url: &Secret<String>, connections: NonZeroU32) -> Result<Self, StorageError> {
        let mut options = match url.expose() {
            url if url.starts_with("sqlite:") => sqlite(url),
            url if url.starts_with("postgres:") || url.starts_with("postgresql:") => {
                postgres(url, connections)
            }
            _ => return Err(StorageError::Scheme),
        };
        options.connect_timeout(PATIENCE).sqlx_logging(false);
        migrate(options.clone()).await?;
        let in_memory = options.get_url().contains(":memory:");
        let pool = sea_orm::Database::connect(options).await?;
        if in_memory {
            Migrator::up(&pool, None).await?;
        }
        Ok(Self {
            link: Link::new(pool),
        })
    }

    /// The database's URL: as configured, else `streamr.db` in the data folder.
    pub fn url(config: &Config) -> Secret<String> {
        config
            .database
            .url
            .clone()
            .filter(|url| url.expose() != "sqlite:")
            .unwrap_or_else(|| {
                let file = config.data_dir.join("streamr.db");
                Secret::new(format!("sqlite:{}", file.display()))
            })
    }

    /// Streams and their keys.
    pub fn streams(&self) -> Streams {
        Streams::new(self.clone())
    }

    /// Accounts.
    pub fn users(&self) -> Users {
        Users::new(self.clone())
    }

    /// Log-ins and their refresh tokens.
    pub fn logins(&self) -> Logins {
        Logins::new(self.clone())
    }

    /// One-time links and invitations.
    pub fn links(&self) -> Links {
        Links::new(self.clone())
    }

    /// Share links and playback sessions.
    pub fn shares(&self) -> Shares {
        Shares::new(self.clone())
    }

    /// Keys that tokens are signed with.
    pub fn signing_keys(&self) -> SigningKeys {
        SigningKeys::new(self.clone())
    }

    /// Settings and feature flags.
    pub fn settings(&self) -> Settings {
        Settings::new(self.clone())
    }

    /// The audit log.
    pub fn audit(&self) -> Audit {
        Audit::new(self.clone())
    }

    /// Answers kept for repeated requests.
    pub fn idempotency(&self) -> Idempotency {
        Idempotency::new(self.clone())
    }

    /// Fencing numbers of origins, and their digest keys.
    pub fn origins(&self) -> Origins {
        Origins::new(self.clone())
    }

    /// Events that wait to be sent.
    pub fn outbox(&self) -> OutboxTable {
        OutboxTable::new(self.clone())
    }

    /// What is kept of past broadcasts.
    pub fn history(&self) -> StreamHistory {
        StreamHistory::new(self.clone())
    }

    /// Who carries streams.
    pub fn friends(&self) -> Friends {
        Friends::new(self.clone())
    }

    /// What is held against nodes.
    pub fn evidence(&self) -> EvidenceLog {
        EvidenceLog::new(self.clone())
    }

    /// Facts that a coordinator gathers.
    pub fn gathered(&self) -> Gathered {
        Gathered::new(self.clone())
    }

    /// Who carried what.
    pub fn carrying(&self) -> Carrying {
        Carrying::new(self.clone())
    }

    /// What one process at a time may do.
    pub fn leases(&self) -> Leases {
        Leases::new(self.clone())
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), StorageError> {
        Ok(self.link.ping().await?)
    }

    /// Runs a statement that no repository has: for tests of what the schema itself refuses.
    #[doc(hidden)]
    pub async fn execute_for_tests(&self, statement: &str) -> Result<(), StorageError> {
        self.link.execute_unprepared(statement).await?;
        Ok(())
    }

    /// Whether other processes of a kind may share it: SQLite is one coordinator's alone.
    pub fn is_shared(&self) -> bool {
        !self.is_sqlite()
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.link.get_database_backend() == DbBackend::Sqlite
    }

    pub(crate) fn connection(&self) -> &Link {
        &self.link
    }

    /// A transaction that will write.
    pub(crate) async fn begin(&self) -> Result<Transaction, DbErr> {
        self.link.begin().await
    }
}

/// Brings the schema up to date, once: on PostgreSQL several processes may start together, so it runs on
/// one connection that holds an advisory lock, freed when the connection closes.
async fn migrate(mut options: ConnectOptions) -> Result<(), StorageError> {
    const LOCK: &str = "SELECT pg_advisory_lock(7310604)";
    if options.get_url().starts_with("sqlite") {
        if options.get_url().contains(":memory:") {
            return Ok(());
        }
        // A second connection would judge a step by the schema before the last one.
        options.max_connections(1);
        let connection = sea_orm::Database::connect(options).await?;
        Migrator::up(&connection, None).await?;
        return Ok(connection.close().await?);
    }
    options.max_connections(1).min_connections(1);
    options.map_sqlx_postgres_opts(|options| {
        let long = MIGRATION.as_millis().to_string();
        let short_of = ["statement_timeout", "lock_timeout"];
        with_limits(options).options(short_of.map(|name| (name, long.clone())))
    });
    let connection = sea_orm::Database::connect(options).await?;
    connection.execute_unprepared(LOCK).await?;
    Migrator::up(&connection, None).await?;
    Ok(connection.close().await?)
}

fn with_limits(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("streamr").options(LIMITS)
}

fn postgres(url: &str, connections: NonZeroU32) -> ConnectOptions {
    // One scheme is known to the driver; both mean the same.
    let url = match url.strip_prefix("postgresql:") {
        Some(rest) => format!("postgres:{rest}"),
        None => url.to_owned(),
    };
    let mut options = ConnectOptions::new(url);
    // A connection is asked before it is used: one whose server was killed is replaced unseen.
    options
        .max_connections(connections.get())
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(true)
        .map_sqlx_postgres_opts(with_limits);
    options
}

fn sqlite(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    // An in-memory database lives in its connection: a second one would be another database.
    options.max_connections(if url.contains(":memory:") { 1 } else { 4 });
    options.acquire_timeout(PATIENCE);
    options.map_sqlx_sqlite_opts(|options| {
        options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(PATIENCE)
            .foreign_keys(true)
    });
    options
}
