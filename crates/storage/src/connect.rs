//! Connecting, by URL scheme, and migrating.

use std::time::Duration;

use migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use types::Secret;

use crate::{
    Audit, Idempotency, Leases, Links, Logins, Origins, OutboxTable, Settings, Shares, SigningKeys,
    StorageError, StreamHistory, Streams, Users,
};

/// How long a statement waits for a connection or another process's write.
const PATIENCE: Duration = Duration::from_secs(5);

/// A database that is ready to use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    connection: DatabaseConnection,
}

impl Database {
    /// Connects to `sqlite:<file>` (made when missing) or `postgres://…`, and brings the schema up to date.
    pub async fn connect(url: &Secret<String>) -> Result<Self, StorageError> {
        let mut options = match url.expose() {
            url if url.starts_with("sqlite:") => sqlite(url),
            url if url.starts_with("postgres:") || url.starts_with("postgresql:") => {
                let mut options = ConnectOptions::new(url);
                options.max_connections(16);
                options
            }
            _ => return Err(StorageError::Scheme),
        };
        options
            .connect_timeout(PATIENCE)
            .acquire_timeout(PATIENCE)
            .sqlx_logging(false);
        migrate(options.clone()).await?;
        let in_memory = options.get_url().contains(":memory:");
        let connection = sea_orm::Database::connect(options).await?;
        if in_memory {
            Migrator::up(&connection, None).await?;
        }
        Ok(Self { connection })
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

    /// What one process at a time may do.
    pub fn leases(&self) -> Leases {
        Leases::new(self.clone())
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), StorageError> {
        Ok(self.connection.ping().await?)
    }

    /// Runs a statement that no repository has: for tests of what the schema itself refuses.
    #[doc(hidden)]
    pub async fn execute_for_tests(&self, statement: &str) -> Result<(), StorageError> {
        self.connection.execute_unprepared(statement).await?;
        Ok(())
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.connection.get_database_backend() == DbBackend::Sqlite
    }

    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// A transaction that will write. On SQLite it takes the write lock at once: one that starts by
    /// reading and then writes would fail instead of waiting when another process wrote in between.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            isolation_level: None,
            access_mode: None,
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        };
        self.connection.begin_with_options(options).await
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
    let connection = sea_orm::Database::connect(options).await?;
    connection.execute_unprepared(LOCK).await?;
    Migrator::up(&connection, None).await?;
    Ok(connection.close().await?)
}

fn sqlite(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    // An in-memory database lives in its connection: a second one would be another database.
    options.max_connections(if url.contains(":memory:") { 1 } else { 4 });
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
