//! One suite, both adapters: memory always, Redis at `STREAMR_TEST_REDIS` (which `./scripts/test` starts
//! and sets; the test fails without it, so that it can't be skipped unseen).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod plugs;

use std::time::Duration;

use cache::{Cache, CacheError, Lease, MAX_VALUE};
use types::InstanceId;

/// Runs a test of the contract on each adapter, with two replicas that share it.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod on_memory {
            $(#[tokio::test]
            async fn $name() {
                let cache = super::Cache::memory();
                super::$name(cache.clone(), cache).await;
            })*
        }
        mod on_redis {
            $(#[tokio::test]
            async fn $name() {
                let (one, other) = super::on_redis();
                super::$name(one, other).await;
            })*
        }
    };
}

contract!(
    a_lease_has_one_holder_until_it_runs_out,
    only_the_holder_gives_a_lease_back,
    a_fencing_number_never_goes_back,
    a_claim_has_no_number_until_it_is_counted,
    of_many_who_want_a_lease_one_has_it,
    presence_lasts_its_time,
    presence_is_listed_by_kind_and_prefix,
    hits_are_counted_by_window,
    values_are_kept_and_forgotten,
    what_is_too_long_is_refused,
);

/// Long enough for a busy machine, short enough to wait for.
const TTL: Duration = Duration::from_millis(600);

fn unique() -> String {
    format!("test-{}", InstanceId::new())
}

fn on_redis() -> (Cache, Cache) {
    let url = std::env::var("STREAMR_TEST_REDIS").expect(
        "STREAMR_TEST_REDIS names a Redis to test on; ./scripts/test starts one and sets it",
    );
    let prefix = unique();
    let connect = || Cache::connect(&url, &prefix).unwrap();
    (connect(), connect())
}

fn lease(fencing: u64) -> Lease {
    Lease {
        holder: InstanceId::new(),
        fencing,
    }
}

async fn wait(duration: Duration) {
    tokio::time::sleep(duration + Duration::from_millis(50)).await;
}

async fn a_lease_has_one_holder_until_it_runs_out(one: Cache, other: Cache) {
    let (a, b) = (lease(1), lease(2));
    assert_eq!(one.lease("s", a, TTL).await, Ok(a));
    assert_eq!(other.lease("s", b, TTL).await, Ok(a));
    assert_eq!(other.lease_holder("s").await, Some(a));
    wait(TTL / 2).await;
    assert_eq!(one.lease("s", a, TTL).await, Ok(a), "prolonged");
    wait(TTL / 2).await;
    assert_eq!(other.lease("s", b, TTL).await, Ok(a));
    wait(TTL / 2).await;
    assert_eq!(one.lease_holder("s").await, None);
    assert_eq!(other.lease("s", b, TTL).await, Ok(b));
    assert_eq!(one.lease("t", a, TTL).await, Ok(a), "another key");
}

async fn only_the_holder_gives_a_lease_back(one: Cache, other: Cache) {
    let (a, b) = (lease(1), lease(2));
    one.lease("s", a, TTL).await.unwrap();
    other.release("s", b.holder).await;
    assert_eq!(other.lease_holder("s").await, Some(a));
    other.release("s", a.holder).await;
    assert_eq!(other.lease_holder("s").await, None);
    assert_eq!(other.lease("s", b, TTL).await, Ok(b));
}

async fn a_fencing_number_never_goes_back(one: Cache, other: Cache) {
    let (old, new) = (lease(4), lease(7));
    one.lease("s", old, TTL).await.unwrap();
    one.release("s", old.holder).await;
    one.lease("s", new, TTL).await.unwrap();
    assert_eq!(other.lease("s", old, TTL).await, Ok(new), "held");
    one.release("s", new.holder).await;
    let fenced = Err(CacheError::Fenced { known: 7 });
    assert_eq!(other.lease("s", old, TTL).await, fenced, "given back");
    wait(TTL).await;
    assert_eq!(one.lease("s", old, TTL).await, fenced, "run out");
    let next = Lease { fencing: 8, ..old };
    assert_eq!(other.lease("s", next, TTL).await, Ok(next));
    assert_eq!(
        other.lease("s", old, TTL).await,
        Err(CacheError::Fenced { known: 8 }),
        "nor does a holder's own"
    );
}

async fn a_claim_has_no_number_until_it_is_counted(one: Cache, other: Cache) {
    let claim = lease(0);
    one.lease("s", lease(3), Duration::from_millis(1))
        .await
        .unwrap();
    wait(Duration::from_millis(1)).await;
    assert_eq!(one.lease("s", claim, TTL).await, Ok(claim));
    assert_eq!(other.lease("s", lease(9), TTL).await, Ok(claim));
    let counted = Lease {
        fencing: 4,
        ..claim
    };
    assert_eq!(other.lease("s", counted, TTL).await, Ok(counted));
    assert_eq!(
        one.lease("s", claim, TTL).await,
        Ok(counted),
        "asked again: the number it has"
    );
}

async fn of_many_who_want_a_lease_one_has_it(one: Cache, other: Cache) {
    let mut tries = tokio::task::JoinSet::new();
    for number in 1..=40 {
        let cache = if number % 2 == 0 { &one } else { &other }.clone();
        let wanted = lease(number);
        tries.spawn(async move { cache.lease("s", wanted, Duration::from_secs(20)).await });
    }
    let answers = tries.join_all().await;
    let first = answers[0].clone().unwrap();
    assert!(
        answers.iter().all(|answer| answer == &Ok(first)),
        "{answers:?}"
    );
}

async fn presence_lasts_its_time(one: Cache, other: Cache) {
    one.put_presence("edge/1", b"x".to_vec(), TTL)
        .await
        .unwrap();
    assert_eq!(
        other.presence("edge/").await,
        [("edge/1".to_owned(), b"x".to_vec())]
    );
    wait(TTL / 2).await;
    one.put_presence("edge/1", b"y".to_vec(), TTL)
        .await
        .unwrap();
    wait(TTL / 2).await;
    assert_eq!(
        other.presence("edge/").await,
        [("edge/1".to_owned(), b"y".to_vec())]
    );
    wait(TTL / 2).await;
    assert!(one.presence("edge/").await.is_empty() && other.presence("edge/").await.is_empty());
}

async fn presence_is_listed_by_kind_and_prefix(one: Cache, other: Cache) {
    for name in ["edge/b1", "edge/a", "edge/b2", "ingest/b"] {
        one.put_presence(name, vec![0, 255], TTL * 10)
            .await
            .unwrap();
    }
    let names = async |prefix: &str| -> Vec<String> {
        let found = other.presence(prefix).await;
        found.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names("edge/").await, ["edge/a", "edge/b1", "edge/b2"]);
    assert_eq!(names("edge/b").await, ["edge/b1", "edge/b2"]);
    assert!(names("origin/").await.is_empty());
}

async fn hits_are_counted_by_window(one: Cache, other: Cache) {
    for expected in 1..=3 {
        let cache = if expected == 2 { &other } else { &one };
        assert_eq!(cache.hit("a", TTL).await, Ok(expected));
    }
    assert_eq!((other.hits("a").await, one.hits("b").await), (3, 0));
    let hits = other.count("a", TTL).await.unwrap();
    assert!(hits.count == 4 && hits.resets_in <= TTL, "{hits:?}");
    wait(TTL).await;
    assert_eq!(one.hits("a").await, 0);
    assert_eq!(one.hit("a", TTL).await, Ok(1));
}

async fn values_are_kept_and_forgotten(one: Cache, other: Cache) {
    assert_eq!(one.get("session").await, None);
    one.put("session", vec![1, 0, 255], TTL).await.unwrap();
    assert_eq!(other.get("session").await, Some(vec![1, 0, 255]));
    other.remove("session").await.unwrap();
    assert_eq!(one.get("session").await, None);
    one.put("session", vec![2], TTL).await.unwrap();
    assert_eq!(other.get("session").await, Some(vec![2]));
    wait(TTL).await;
    assert_eq!(
        (one.get("session").await, other.get("session").await),
        (None, None)
    );
}

async fn what_is_too_long_is_refused(one: Cache, _other: Cache) {
    let long = vec![0; MAX_VALUE + 1];
    let refused = Err(CacheError::TooLong(MAX_VALUE + 1));
    assert_eq!(one.put("a", long.clone(), TTL).await, refused);
    assert_eq!(one.put_presence("a/b", long, TTL).await, refused);
    assert_eq!(one.put("a", vec![0; MAX_VALUE], TTL).await, Ok(()));
}

#[test]
fn a_url_that_is_no_cache_is_refused_without_showing_it() {
    for url in [
        "memcached://hunter2",
        "redis:hunter2",
        "redis://:hunter2@host:port/0",
    ] {
        let refused = Cache::connect(url, "test").err().expect(url);
        let text = refused.to_string();
        assert!(
            text.contains("cache.url") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
