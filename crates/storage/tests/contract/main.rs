//! One suite, both databases: SQLite always, PostgreSQL at `STREAMR_TEST_POSTGRES` (which
//! `./scripts/test` starts and sets; the test fails without it, so that it can't be skipped unseen).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]
/// Runs a test of the contract on each adapter.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::postgres().await).await;
            })*
        }
    };
}

mod bus;
mod carrying;
mod people;
mod plans;
mod plugs;

use events::{Dead, Fact, Outbox};
use storage::{Database, KeyHash, NewAudit, NewStream, OriginRecord, Seen, StorageError, Stream};
use types::{Epoch, Msn, Secret, Slug, StreamId, StreamState};

async fn sqlite() -> Database {
    Database::connect(&Secret::new("sqlite::memory:".to_owned()))
        .await
        .unwrap()
}

async fn postgres() -> Database {
    let url = std::env::var("STREAMR_TEST_POSTGRES")
        .expect("STREAMR_TEST_POSTGRES names a PostgreSQL to test on; ./scripts/test starts one and sets it");
    Database::connect(&Secret::new(url)).await.unwrap()
}

contract!(
    a_new_stream_is_found_by_id_name_and_key,
    a_taken_name_or_key_is_refused,
    a_new_key_replaces_the_old_one,
    the_lifecycle_records_its_facts,
    an_invalid_move_changes_nothing,
    epochs_count_up_and_fence,
    numbers_never_go_back,
    concurrent_epochs_are_distinct,
    the_outbox_keeps_events_until_sent,
);

/// An audit entry that these tests don't look at.
fn done() -> NewAudit {
    NewAudit::new("test.done")
}

fn unique_key() -> KeyHash {
    let (a, b) = (StreamId::new().as_uuid(), StreamId::new().as_uuid());
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(a.as_bytes());
    hash[16..].copy_from_slice(b.as_bytes());
    KeyHash(hash)
}

fn unique_slug() -> Slug {
    format!("s{}", StreamId::new()).parse().unwrap()
}

async fn a_stream(database: &Database) -> (Stream, KeyHash) {
    let key = unique_key();
    let new = NewStream::new(unique_slug(), "A title".to_owned(), key);
    (database.streams().create(new, done()).await.unwrap(), key)
}

async fn facts_of(database: &Database, stream: StreamId) -> Vec<(u64, Fact)> {
    let pending = database.outbox().pending(10_000).await.unwrap();
    let about = format!("stream/{stream}");
    pending
        .into_iter()
        .filter(|p| p.event.aggregate() == about)
        .map(|p| (p.event.version, p.event.fact))
        .collect()
}

async fn a_new_stream_is_found_by_id_name_and_key(database: Database) {
    let (stream, key) = a_stream(&database).await;
    let streams = database.streams();
    assert_eq!(stream.state, StreamState::Ready);
    assert_eq!(
        streams.by_id(stream.id).await.unwrap(),
        Some(stream.clone())
    );
    assert_eq!(
        streams.by_slug(&stream.slug).await.unwrap(),
        Some(stream.clone())
    );
    assert_eq!(streams.by_key(key).await.unwrap(), Some(stream));
    assert_eq!(streams.by_key(unique_key()).await.unwrap(), None);
}

async fn a_taken_name_or_key_is_refused(database: Database) {
    let (stream, key) = a_stream(&database).await;
    let streams = database.streams();
    let same_name = NewStream::new(stream.slug.clone(), String::new(), unique_key());
    assert!(
        matches!(streams.create(same_name, done()).await, Err(StorageError::SlugTaken(slug)) if slug == stream.slug)
    );
    let same_key = NewStream::new(unique_slug(), String::new(), key);
    assert!(matches!(
        streams.create(same_key, done()).await,
        Err(StorageError::KeyTaken)
    ));
}

async fn a_new_key_replaces_the_old_one(database: Database) {
    let (stream, old) = a_stream(&database).await;
    let new = unique_key();
    let changed = database
        .streams()
        .replace_key(stream.id, new, done())
        .await
        .unwrap();
    assert_eq!(changed.version, stream.version + 1);
    assert_eq!(database.streams().by_key(old).await.unwrap(), None);
    assert_eq!(
        database.streams().by_key(new).await.unwrap().unwrap().id,
        stream.id
    );
    let facts = facts_of(&database, stream.id).await;
    assert_eq!(
        facts,
        [(
            changed.version,
            Fact::StreamKeyChanged { stream: stream.id }
        )]
    );
}

async fn the_lifecycle_records_its_facts(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let streams = database.streams();
    let move_to = |state, seen| streams.transition(stream.id, state, seen, None);
    let live = move_to(StreamState::Live, Seen::default()).await.unwrap();
    assert!(live.started_at.is_some());
    assert_eq!(streams.by_id(stream.id).await.unwrap(), Some(live.clone()));
    assert!(streams.on_air().await.unwrap().contains(&live));
    let seen = Seen {
        peak_viewers: 5,
        sessions: 9,
    };
    let ended = move_to(StreamState::Offline, seen).await.unwrap();
    assert_eq!(ended.peak_viewers, 5);
    let slug = stream.slug;
    let (started, over) = (live.started_at.unwrap(), ended.ended_at.unwrap());
    let micros = |at: time::OffsetDateTime| (at.unix_timestamp_nanos() / 1000) as i64;
    let broadcast = events::Broadcast {
        id: live.broadcast.unwrap(),
        started_us: micros(started),
        ended_us: micros(over),
        peak_viewers: 5,
        sessions: 9,
    };
    let expected = [
        (
            2,
            Fact::StreamStarted {
                stream: stream.id,
                slug: slug.clone(),
                broadcast: broadcast.id,
            },
        ),
        (
            3,
            Fact::StreamEnded {
                stream: stream.id,
                slug,
                broadcast,
            },
        ),
    ];
    assert_eq!(facts_of(&database, stream.id).await, expected);
}

async fn an_invalid_move_changes_nothing(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let refused = database
        .streams()
        .transition(stream.id, StreamState::Offline, Seen::default(), None)
        .await;
    assert!(matches!(refused, Err(StorageError::Transition(_))));
    assert_eq!(
        database.streams().by_id(stream.id).await.unwrap(),
        Some(stream.clone())
    );
    assert!(facts_of(&database, stream.id).await.is_empty());
}

async fn epochs_count_up_and_fence(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let origins = database.origins();
    let first = origins.open_epoch(stream.id).await.unwrap();
    assert_eq!(first.epoch, Epoch::new(1));
    let used = OriginRecord {
        msn: Msn::new(7),
        target_duration_s: 2,
        part_target_ms: 335,
        ..first
    };
    assert!(origins.record(stream.id, used).await.unwrap());
    let second = origins.open_epoch(stream.id).await.unwrap();
    assert_eq!(
        (second.epoch, second.msn, second.target_duration_s),
        (Epoch::new(2), Msn::new(7), 2)
    );
    let late = OriginRecord {
        msn: Msn::new(8),
        ..used
    };
    assert!(
        !origins.record(stream.id, late).await.unwrap(),
        "the first epoch is fenced"
    );
    assert_eq!(
        origins.get(stream.id).await.unwrap().unwrap().msn,
        Msn::new(7)
    );
}

async fn numbers_never_go_back(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let origins = database.origins();
    let first = origins.open_epoch(stream.id).await.unwrap();
    for msn in [9, 5] {
        assert!(
            origins
                .record(
                    stream.id,
                    OriginRecord {
                        msn: Msn::new(msn),
                        ..first
                    }
                )
                .await
                .unwrap()
        );
    }
    assert_eq!(
        origins.get(stream.id).await.unwrap().unwrap().msn,
        Msn::new(9)
    );
}

async fn concurrent_epochs_are_distinct(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let origins = database.origins();
        tasks.spawn(async move { origins.open_epoch(stream.id).await.unwrap().epoch });
    }
    let mut epochs = tasks.join_all().await;
    epochs.sort();
    assert_eq!(epochs, (1..=8).map(Epoch::new).collect::<Vec<_>>());
}

async fn the_outbox_keeps_events_until_sent(database: Database) {
    let (stream, _) = a_stream(&database).await;
    database
        .streams()
        .transition(stream.id, StreamState::Live, Seen::default(), None)
        .await
        .unwrap();
    let outbox = database.outbox();
    let about = format!("stream/{}", stream.id);
    let mine =
        |pending: Vec<events::Pending>| pending.into_iter().find(|p| p.event.aggregate() == about);
    let pending = mine(outbox.pending(10_000).await.unwrap()).unwrap();
    let id = pending.event.id;
    outbox.mark_failed(&[id]).await.unwrap();
    let again = mine(outbox.pending(10_000).await.unwrap()).unwrap();
    assert_eq!((again.event.clone(), again.attempts), (pending.event, 1));
    let dead = Dead {
        id,
        queue: "somewhere".to_owned(),
        reason: "it says nothing".to_owned(),
    };
    outbox.mark_dead(&[dead]).await.unwrap();
    assert!(mine(outbox.pending(10_000).await.unwrap()).is_none());
    let letters = outbox.dead(10_000).await.unwrap();
    let letter = letters.iter().find(|letter| letter.id == id).unwrap();
    assert_eq!(
        (
            letter.name.as_str(),
            letter.queue.as_str(),
            letter.reason.as_str()
        ),
        ("StreamStarted", "somewhere", "it says nothing")
    );
    assert_eq!(outbox.revive(Some(id)).await.unwrap(), 1);
    let revived = mine(outbox.pending(10_000).await.unwrap()).unwrap();
    assert_eq!(revived.only.as_deref(), Some("somewhere"));
    assert!(outbox.backlog().await.unwrap().events > 0);
    outbox.mark_sent(&[id]).await.unwrap();
    assert!(mine(outbox.pending(10_000).await.unwrap()).is_none());
    outbox.purge().await.unwrap();
}
