//! Brokers that die while events flow.

use std::time::{Duration, Instant};

use testkit::engines::RabbitMq;

use crate::bed::{Bed, Running, soon};

#[tokio::test]
async fn a_broker_that_is_killed_loses_nothing() {
    let mut broker = RabbitMq::start().await.unwrap();
    let bed = Bed::on_postgres(&broker.url()).await;
    let told = bed.broadcasts(20, 50).await;
    let running = bed.run([bed.history()]);
    running.ready().await;
    let (before, after) = told.split_at(told.len() / 2);
    flow(&bed, before).await;
    broker.kill().unwrap();
    flow(&bed, after).await;
    soon("it is said", || !running.health.missing().is_empty()).await;
    assert!(running.health.missing()[0].starts_with("bus: "));
    broker.restart().await.unwrap();
    bed.took_effect_once(20, 50, Duration::from_secs(60)).await;
    running.ready().await;
    bed.end().await;
}

#[tokio::test]
async fn a_broker_that_stands_still_delays_and_loses_nothing() {
    let broker = RabbitMq::start().await.unwrap();
    let bed = Bed::on_postgres(&broker.url()).await;
    let told = bed.broadcasts(10, 20).await;
    let running = bed.run([bed.history()]);
    running.ready().await;
    let (before, after) = told.split_at(told.len() / 2);
    flow(&bed, before).await;
    broker.stop().unwrap();
    flow(&bed, after).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(!running.health.missing().is_empty(), "silence is noticed");
    broker.cont().unwrap();
    bed.took_effect_once(10, 20, Duration::from_secs(60)).await;
    running.ready().await;
    bed.end().await;
}

/// Writes events a few at once, so that they flow for a while.
async fn flow(bed: &Bed, told: &[events::Event]) {
    for some in told.chunks(20) {
        bed.write(some).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// `cargo xtask broker` runs it: three nodes take their time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "cargo xtask broker runs it"]
#[expect(clippy::print_stdout, reason = "it answers with figures")]
async fn a_cluster_whose_leader_is_killed_loses_nothing() {
    const STREAMS: usize = 50;
    const EACH: u64 = 120;
    let mut cluster = RabbitMq::cluster(3).await.unwrap();
    let urls: Vec<String> = cluster.iter().map(RabbitMq::url).collect();
    let bed = Bed::on_postgres(&urls.join(",")).await;
    let told = bed.broadcasts(STREAMS, EACH).await;
    let running: Vec<Running> = (0..2).map(|_| bed.run([bed.history()])).collect();
    for process in &running {
        process.ready().await;
    }
    let queue = format!("{}.test.history", bed.name);
    let leader = cluster[2].leader(&queue).unwrap();
    let index = cluster
        .iter()
        .position(|node| node.name() == leader)
        .unwrap();
    let started = Instant::now();
    let (before, after) = told.split_at(told.len() / 2);
    flow(&bed, before).await;
    cluster[index].kill().unwrap();
    let killed = Instant::now();
    flow(&bed, after).await;
    bed.took_effect_once(STREAMS, EACH, Duration::from_secs(120))
        .await;
    let caught_up = killed.elapsed();
    let survivor = (index + 1) % 3;
    let now_leads = cluster[survivor].leader(&queue).unwrap();
    assert_ne!(now_leads, leader, "another node leads");
    cluster[index].restart().await.unwrap();
    for process in &running {
        process.ready().await;
    }
    println!(
        "{} events, leader {leader} killed midway, then {now_leads} led: {} effects, none lost, none twice; \
         all in effect {:.1} s after the first event, {:.1} s after the kill",
        told.len(),
        told.len(),
        started.elapsed().as_secs_f64(),
        caught_up.as_secs_f64(),
    );
    bed.end().await;
}
