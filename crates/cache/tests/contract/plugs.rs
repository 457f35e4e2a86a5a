//! A Redis of our own whose plug is pulled: killed, emptied, stopped.

use std::time::Duration;

use cache::{Cache, CacheError, Lease};
use testkit::engines::Redis;
use tokio::time::Instant;

use super::{lease, unique, wait};

/// Longer than these tests take.
const LONG: Duration = Duration::from_secs(60);
/// After a failure Redis is left alone for half a second; then it is found again.
const FOUND_AGAIN: Duration = Duration::from_millis(700);

async fn replicas() -> (Redis, Cache, Cache) {
    let redis = Redis::start().await.unwrap();
    let prefix = unique();
    let connect = || Cache::connect(&redis.url(), &prefix).unwrap();
    let (one, other) = (connect(), connect());
    (redis, one, other)
}

/// The longest that one call of each kind took.
async fn slowest(cache: &Cache) -> Duration {
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    let mut took = |since: Instant| slowest = slowest.max(since.elapsed());
    cache.lease("slow", lease(1), LONG).await.unwrap();
    took(began);
    let began = Instant::now();
    cache.put_presence("slow/1", vec![], LONG).await.unwrap();
    took(began);
    let began = Instant::now();
    cache.presence("slow/").await;
    took(began);
    let began = Instant::now();
    cache.hit("slow", LONG).await.unwrap();
    took(began);
    let began = Instant::now();
    cache.get("slow").await;
    took(began);
    slowest
}

#[tokio::test]
async fn while_redis_is_gone_memory_answers_and_then_redis_again() {
    let (mut redis, one, other) = replicas().await;
    let held = lease(5);
    one.lease("s", held, LONG).await.unwrap();
    one.put_presence("edge/1", vec![1], LONG).await.unwrap();
    one.put("session", vec![2], LONG).await.unwrap();
    one.hit("login", LONG).await.unwrap();
    redis.kill().unwrap();

    assert_eq!(one.lease_holder("s").await, Some(held));
    assert_eq!(one.lease("s", lease(6), LONG).await, Ok(held));
    assert_eq!(
        one.presence("edge/").await,
        [("edge/1".to_owned(), vec![1])]
    );
    assert_eq!(one.get("session").await, Some(vec![2]));
    assert_eq!(
        one.hit("login", LONG).await,
        Ok(1),
        "limits go on by process"
    );
    assert!(matches!(one.ping().await, Err(CacheError::Unavailable(_))));

    redis.restart().await.unwrap();
    wait(FOUND_AGAIN).await;
    assert_eq!(one.ping().await, Ok(()));
    assert_eq!(one.lease("s", held, LONG).await, Ok(held));
    assert_eq!(
        other.lease_holder("s").await,
        Some(held),
        "Redis was told again"
    );
    other.put_presence("edge/2", vec![3], LONG).await.unwrap();
    assert_eq!(one.presence("edge/").await.len(), 2);
}

#[tokio::test]
async fn numbers_never_go_back_over_a_restart_and_a_flush() {
    let (mut redis, one, other) = replicas().await;
    let old = lease(4);
    let held = lease(9);
    other.lease("s", old, LONG).await.unwrap();
    other.release("s", old.holder).await;
    one.lease("s", held, LONG).await.unwrap();
    one.release("s", held.holder).await;
    let fenced = Err(CacheError::Fenced { known: 9 });
    assert_eq!(one.lease("s", old, LONG).await, fenced);

    redis.restart().await.unwrap();
    wait(FOUND_AGAIN).await;
    one.ping().await.unwrap();
    assert_eq!(
        one.lease("s", old, LONG).await,
        fenced,
        "this process knows"
    );
    other.ping().await.unwrap();
    assert_eq!(
        other.lease("s", old, LONG).await,
        fenced,
        "and told the others"
    );

    redis.flush().await.unwrap();
    assert_eq!(one.lease("s", old, LONG).await, fenced);
    assert_eq!(other.lease("s", old, LONG).await, fenced);
    let next = Lease { fencing: 10, ..old };
    assert_eq!(other.lease("s", next, LONG).await, Ok(next));
}

#[tokio::test]
async fn a_redis_that_forgot_a_lease_is_told_who_has_it() {
    let (redis, one, other) = replicas().await;
    let (held, wanted) = (lease(2), lease(3));
    one.lease("s", held, LONG).await.unwrap();
    one.lease("t", held, LONG).await.unwrap();
    redis.flush().await.unwrap();
    assert_eq!(one.lease("s", wanted, LONG).await, Ok(held));
    assert_eq!(one.lease_holder("t").await, Some(held));
    assert_eq!(other.lease_holder("s").await, Some(held));
    one.release("s", held.holder).await;
    assert_eq!(
        other.lease("s", wanted, LONG).await,
        Ok(wanted),
        "given back is given back"
    );
}

#[tokio::test]
async fn a_value_removed_while_redis_is_away_stays_removed() {
    let (redis, one, other) = replicas().await;
    one.put("session", vec![1], LONG).await.unwrap();
    redis.signal("STOP").unwrap();
    one.remove("session").await.unwrap();
    assert_eq!(one.get("session").await, None);
    redis.signal("CONT").unwrap();
    wait(FOUND_AGAIN).await;
    one.ping().await.unwrap();
    assert_eq!(one.get("session").await, None);
    other.ping().await.unwrap();
    assert_eq!(other.get("session").await, None, "Redis was told");
}

#[tokio::test]
async fn a_redis_that_hangs_holds_nobody_up() {
    let (redis, one, _other) = replicas().await;
    assert!(slowest(&one).await < Duration::from_millis(250));
    redis.signal("STOP").unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let cache = one.clone();
        callers.spawn(async move {
            let mut longest = Duration::ZERO;
            while Instant::now() < until {
                longest = longest.max(slowest(&cache).await);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            longest
        });
    }
    let longest = callers.join_all().await.into_iter().max().unwrap();
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    redis.signal("CONT").unwrap();
    wait(FOUND_AGAIN).await;
    assert_eq!(one.ping().await, Ok(()));
    one.put("back", vec![1], LONG).await.unwrap();
    assert_eq!(one.get("back").await, Some(vec![1]));
}

#[tokio::test]
async fn readiness_says_why_and_recovers() {
    let (mut redis, one, _other) = replicas().await;
    let health = runtime::Health::default();
    let watch = tokio::spawn(one.watch(health.require("cache")));
    let until = async |met: bool| {
        let deadline = Instant::now() + Duration::from_secs(5);
        while health.missing().is_empty() != met {
            assert!(Instant::now() < deadline, "{:?}", health.missing());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until(true).await;
    redis.kill().unwrap();
    until(false).await;
    let missing = health.missing().join("\n");
    assert!(
        missing.starts_with("cache: Redis does not answer: "),
        "{missing}"
    );
    redis.restart().await.unwrap();
    until(true).await;
    watch.abort();
}
