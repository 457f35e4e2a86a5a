//! A PostgreSQL of our own: many start on it at once, and its plug is pulled.

use std::time::Duration;

use storage::{Database, Setting};
use testkit::engines::Postgres;
use tokio::time::Instant;
use types::Secret;

use super::done;

async fn open(postgres: &Postgres) -> Database {
    Database::connect(&Secret::new(postgres.url()))
        .await
        .unwrap()
}

async fn settings(database: &Database) -> Vec<Setting> {
    database.settings().all().await.unwrap()
}

async fn answers_again(database: &Database) -> Duration {
    let began = Instant::now();
    while database.settings().all().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "it stays away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn four_that_start_together_migrate_once() {
    let postgres = Postgres::start().await.unwrap();
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let url = Secret::new(postgres.url());
        starts.spawn(async move { Database::connect(&url).await });
    }
    for database in starts.join_all().await {
        assert_eq!(settings(&database.unwrap()).await, []);
    }
}

#[tokio::test]
async fn a_killed_postgres_is_noticed_at_once_and_recovered_from() {
    let mut postgres = Postgres::start().await.unwrap();
    let database = open(&postgres).await;
    let settings = database.settings();
    settings.put("one", "1", None, done()).await.unwrap();
    postgres.kill().unwrap();
    settings.all().await.unwrap_err();
    // The pool waits for a server that starts; who asks after the first is not kept waiting.
    for number in 0..20 {
        let began = Instant::now();
        let error = settings.put("two", "2", None, done()).await.unwrap_err();
        let took = began.elapsed();
        assert!(
            took < Duration::from_millis(200),
            "{number}: {error:?} after {took:?}"
        );
    }
    assert!(database.ping().await.is_err());
    postgres.restart().await.unwrap();
    let took = answers_again(&database).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Connections from before are replaced unseen.
    for _ in 0..32 {
        assert_eq!(settings.all().await.unwrap().len(), 1, "what was committed");
    }
}

#[tokio::test]
async fn a_stopped_postgres_fails_within_the_deadline() {
    let postgres = Postgres::start().await.unwrap();
    let database = open(&postgres).await;
    settings(&database).await;
    postgres.signal("STOP").unwrap();
    let began = Instant::now();
    database.settings().all().await.unwrap_err();
    assert!(
        began.elapsed() < Duration::from_secs(11),
        "{:?}",
        began.elapsed()
    );
    let began = Instant::now();
    database.settings().all().await.unwrap_err();
    assert!(
        began.elapsed() < Duration::from_millis(100),
        "the next is refused at once"
    );
    postgres.signal("CONT").unwrap();
    let took = answers_again(&database).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server() {
    let postgres = Postgres::start().await.unwrap();
    let database = open(&postgres).await;
    let began = Instant::now();
    let error = database.execute_for_tests("SELECT pg_sleep(30)").await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("statement timeout"), "{text}");
    assert!(
        began.elapsed() < Duration::from_secs(7),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(settings(&database).await, [], "it is not taken for lost");
}
