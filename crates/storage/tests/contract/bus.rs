//! What the bus keeps in the database: leases, the inbox, and the history written through it.

use std::time::Duration;

use events::{Broadcast, Event, Fact};
use storage::{Database, Seen, Stream, StreamTotals};
use types::{BroadcastId, EventId, InstanceId, StreamState};

use crate::{a_stream, done};

contract!(
    one_holder_at_a_time_has_a_lease,
    a_lease_says_where_its_holder_answers,
    a_broadcast_takes_effect_once_however_often_it_is_told,
    an_end_may_come_before_its_start,
    the_history_of_a_deleted_stream_goes_with_it,
    past_broadcasts_come_newest_first,
);

/// A name of its own: the databases are shared by the tests.
fn consumer() -> String {
    format!("test.{}", EventId::new())
}

async fn one_holder_at_a_time_has_a_lease(database: Database) {
    let leases = database.leases();
    let (name, ours, theirs) = (consumer(), InstanceId::new(), InstanceId::new());
    let long = Duration::from_secs(60);
    assert!(leases.take(&name, ours, long).await.unwrap());
    assert!(!leases.take(&name, theirs, long).await.unwrap());
    assert!(
        leases
            .take(&name, ours, Duration::from_millis(50))
            .await
            .unwrap()
    );
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert!(leases.take(&name, theirs, long).await.unwrap());
    leases.release(&name, ours).await.unwrap();
    assert!(!leases.take(&name, ours, long).await.unwrap());
    leases.release(&name, theirs).await.unwrap();
    assert!(leases.take(&name, ours, long).await.unwrap());
}

async fn a_lease_says_where_its_holder_answers(database: Database) {
    let leases = database.leases();
    let (name, ours, theirs) = (consumer(), InstanceId::new(), InstanceId::new());
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(60));
    assert_eq!(leases.holder(&name).await.unwrap(), None);
    assert!(
        leases
            .take_at(&name, ours, "http://a:1", short)
            .await
            .unwrap()
    );
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert_eq!(leases.holder(&name).await.unwrap(), None);
    for instance in [theirs, ours] {
        let _ = leases
            .take_at(&name, instance, "http://b:1", long)
            .await
            .unwrap();
    }
    let holder = leases.holder(&name).await.unwrap().unwrap();
    assert_eq!(holder.instance, theirs);
    assert_eq!(holder.address.as_deref(), Some("http://b:1"));
}

/// The start and the end of a broadcast of ten seconds.
fn told(stream: &Stream) -> [Event; 2] {
    let id = BroadcastId::new();
    let event = |time_us, version, fact| Event {
        id: EventId::new(),
        time_us,
        version,
        trace_parent: String::new(),
        fact,
    };
    let (started_us, ended_us) = (1_700_000_000_000_000, 1_700_000_010_000_000);
    let broadcast = Broadcast {
        id,
        started_us,
        ended_us,
        peak_viewers: 7,
        sessions: 30,
    };
    let (stream, slug) = (stream.id, stream.slug.clone());
    let start = Fact::StreamStarted {
        stream,
        slug: slug.clone(),
        broadcast: id,
    };
    let end = Fact::StreamEnded {
        stream,
        slug,
        broadcast,
    };
    [event(started_us, 1, start), event(ended_us, 2, end)]
}

const ONCE: StreamTotals = StreamTotals {
    broadcasts: 1,
    live: Duration::from_secs(10),
    sessions: 30,
};

async fn a_broadcast_takes_effect_once_however_often_it_is_told(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let (history, name) = (database.history(), consumer());
    let [start, end] = told(&stream);
    let twice = [start.clone(), end.clone(), end.clone()];
    assert_eq!(history.apply(&name, &twice).await.unwrap(), 2);
    assert_eq!(history.apply(&name, &[end, start]).await.unwrap(), 0);
    assert_eq!(history.totals(stream.id).await.unwrap(), ONCE);
    let kept = history.of(stream.id, None, 10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].peak_viewers, kept[0].sessions), (7, 30));
    history.purge().await.unwrap();
}

async fn an_end_may_come_before_its_start(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let (history, name) = (database.history(), consumer());
    let [start, end] = told(&stream);
    history.apply(&name, &[end]).await.unwrap();
    let before = history.of(stream.id, None, 10).await.unwrap();
    history.apply(&name, &[start]).await.unwrap();
    assert_eq!(history.of(stream.id, None, 10).await.unwrap(), before);
    assert!(before[0].ended_at.is_some());
    assert_eq!(history.totals(stream.id).await.unwrap(), ONCE);
}

async fn the_history_of_a_deleted_stream_goes_with_it(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let (history, name) = (database.history(), consumer());
    history.apply(&name, &told(&stream)).await.unwrap();
    database.streams().delete(stream.id, done()).await.unwrap();
    assert!(history.of(stream.id, None, 10).await.unwrap().is_empty());
    assert_eq!(history.apply(&name, &told(&stream)).await.unwrap(), 0);
    assert_eq!(
        history.totals(stream.id).await.unwrap(),
        StreamTotals::default()
    );
}

async fn past_broadcasts_come_newest_first(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let (history, name) = (database.history(), consumer());
    for _ in 0..3 {
        history.apply(&name, &told(&stream)).await.unwrap();
    }
    let first = history.of(stream.id, None, 2).await.unwrap();
    assert!(first[0].id > first[1].id);
    let rest = history.of(stream.id, Some(first[1].id), 2).await.unwrap();
    assert_eq!(rest.len(), 1);
    let live = StreamState::Live;
    let started = database
        .streams()
        .transition(stream.id, live, Seen::default(), None)
        .await
        .unwrap();
    assert!(started.broadcast > Some(first[0].id));
}
