//! The way to the database: every statement has a deadline, and a database that is away is left alone for
//! half a second after each try, so that callers are refused at once instead of queueing.
//!
//! The server has deadlines of its own (see `connect`); these are for one that hangs, or a network that
//! swallows answers.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use runtime::circuit::{Circuit, Names};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait, sqlx,
};

/// How long one statement may take, with the wait for a connection; more than the server's own limits.
const DEADLINE: Duration = Duration::from_secs(10);

const NAMES: Names = Names {
    lost: "the database does not answer",
    back: "the database answers again",
    failures_total: "streamr_database_failures_total",
    up: "streamr_database_up",
};

/// The pool, guarded. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pool: DatabaseConnection,
    circuit: Arc<Circuit>,
}

/// A transaction, guarded; rolled back when dropped.
#[derive(Debug)]
pub(crate) struct Transaction {
    inner: DatabaseTransaction,
    circuit: Arc<Circuit>,
}

/// Whether it is the database that fails, not what was asked of it.
pub(crate) fn is_away(error: &DbErr) -> bool {
    let (DbErr::Conn(error) | DbErr::Exec(error) | DbErr::Query(error)) = error else {
        return matches!(error, DbErr::ConnectionAcquire(_));
    };
    let RuntimeErr::SqlxError(error) = error else {
        return matches!(error, RuntimeErr::Internal(_));
    };
    match &**error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Connection exceptions; shutting down, crashed, starting up; too many connections.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("57P0") || code == "53300"
        }),
        _ => false,
    }
}

fn refused(why: &str) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(why.to_owned()))
}

/// Runs `work` within the deadline and notes whether the database answered.
async fn guard<T>(
    circuit: &Circuit,
    work: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    let outcome = match tokio::time::timeout(DEADLINE, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(refused("no answer in time")),
    };
    match &outcome {
        Err(error) if is_away(error) => circuit.failed(&error.to_string()),
        _ => circuit.succeeded(),
    }
    outcome
}

impl Link {
    pub(crate) fn new(pool: DatabaseConnection) -> Self {
        Self {
            pool,
            circuit: Arc::new(Circuit::new(NAMES)),
        }
    }

    /// Asks now, whatever failed before.
    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        guard(&self.circuit, self.pool.ping()).await
    }

    async fn run<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        if !self.circuit.may_try() {
            return Err(refused("the database failed a moment ago"));
        }
        guard(&self.circuit, work).await
    }

    /// A transaction that will write. On SQLite it takes the write lock at once: one that starts by
    /// reading and then writes would fail instead of waiting when another process wrote in between.
    pub(crate) async fn begin(&self) -> Result<Transaction, DbErr> {
        let options = TransactionOptions {
            isolation_level: None,
            access_mode: None,
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        };
        Ok(Transaction {
            inner: self.run(self.pool.begin_with_options(options)).await?,
            circuit: Arc::clone(&self.circuit),
        })
    }
}

impl Transaction {
    /// Makes it so.
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        guard(&self.circuit, self.inner.commit()).await
    }
}

#[async_trait]
impl ConnectionTrait for Link {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(self.pool.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(self.pool.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(self.pool.query_all_raw(statement)).await
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        guard(&self.circuit, self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        guard(&self.circuit, self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        guard(&self.circuit, self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        guard(&self.circuit, self.inner.query_all_raw(statement)).await
    }
}
