//! One suite, every bus: the local one on SQLite and PostgreSQL outboxes, and RabbitMQ. PostgreSQL is at
//! `STREAMR_TEST_POSTGRES`, RabbitMQ at `STREAMR_TEST_RABBITMQ` (which `./scripts/test` starts and sets; the
//! tests fail without, so that they can't be skipped unseen). A broker that is killed is a test's own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

/// Runs a test of the contract on each bus.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod locally_on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                let bed = crate::bed::Bed::on_sqlite().await;
                super::$name(&bed).await;
                bed.end().await;
            })*
        }
        mod locally_on_postgres {
            $(#[tokio::test]
            async fn $name() {
                let bed = crate::bed::Bed::on_postgres("local:").await;
                super::$name(&bed).await;
                bed.end().await;
            })*
        }
        mod on_rabbitmq {
            $(#[tokio::test]
            async fn $name() {
                let bed = crate::bed::Bed::on_postgres(&crate::bed::broker()).await;
                super::$name(&bed).await;
                bed.end().await;
            })*
        }
    };
}

mod bed;
mod broker;
mod plugs;
mod rate;

use std::time::Duration;

use bed::{Bed, Recorder, events, soon};
use events::{DeadLetters, Kind, Outbox};

contract!(
    every_event_reaches_every_subscription_in_order,
    poison_becomes_a_dead_letter_and_the_others_pass,
    dead_letters_are_sent_back,
    events_wait_for_a_handler_that_can_not,
    two_relays_on_one_outbox_have_one_effect,
);

async fn every_event_reaches_every_subscription_in_order(bed: &Bed) {
    let (one, other) = (Recorder::new(), Recorder::new());
    let running = bed.run([
        one.subscription("test.durable", Kind::Durable),
        other.subscription("test.broadcast", Kind::Broadcast),
    ]);
    running.ready().await;
    let told = events(10, 30);
    bed.write(&told).await;
    for recorder in [&one, &other] {
        soon("all events come", || recorder.distinct() == 300).await;
        recorder.check_order();
    }
    let outbox = bed.database.outbox();
    testkit::eventually(Duration::from_secs(10), "nothing waits", || async {
        Ok((outbox.backlog().await?.events == 0).then_some(()))
    })
    .await
    .unwrap();
}

async fn poison_becomes_a_dead_letter_and_the_others_pass(bed: &Bed) {
    let told = events(4, 25);
    let poison = told[40].id;
    let recorder = Recorder::new();
    recorder.poison(poison);
    let _running = bed.run([recorder.subscription("test.durable", Kind::Durable)]);
    bed.write(&told).await;
    soon("the others pass", || recorder.distinct() == 99).await;
    let letters = bed.dead_letters();
    let listed = dead(&letters, 1).await;
    assert_eq!(listed[0].id, poison);
    assert_eq!(listed[0].queue, "test.durable");
    assert_eq!(listed[0].name, "StreamChanged");
    assert!(listed[0].died_us > 1_700_000_000_000_000);
    recorder.check_order();
}

async fn dead_letters_are_sent_back(bed: &Bed) {
    let told = events(1, 3);
    let (recorder, other) = (Recorder::new(), Recorder::new());
    recorder.poison(told[0].id);
    recorder.poison(told[1].id);
    let _running = bed.run([
        recorder.subscription("test.durable", Kind::Durable),
        other.subscription("test.other", Kind::Durable),
    ]);
    bed.write(&told).await;
    soon("one passes", || recorder.distinct() == 1).await;
    let letters = bed.dead_letters();
    dead(&letters, 2).await;
    soon("the other has them all", || other.distinct() == 3).await;
    let before = other.count();
    recorder.cure();
    assert_eq!(letters.replay(Some(told[1].id)).await.unwrap(), 1);
    soon("it passes now", || recorder.distinct() == 2).await;
    assert_eq!(letters.replay(None).await.unwrap(), 1);
    soon("and the last", || recorder.distinct() == 3).await;
    dead(&letters, 0).await;
    assert_eq!(other.count(), before, "only where it died");
}

async fn dead(letters: &DeadLetters, expected: usize) -> Vec<events::DeadLetter> {
    testkit::eventually(Duration::from_secs(20), "dead letters", || async {
        let listed = letters.list(100).await?;
        Ok((listed.len() == expected).then_some(listed))
    })
    .await
    .unwrap()
}

async fn events_wait_for_a_handler_that_can_not(bed: &Bed) {
    let recorder = Recorder::new();
    recorder.set_unavailable(true);
    let _running = bed.run([recorder.subscription("test.durable", Kind::Durable)]);
    let told = events(3, 20);
    bed.write(&told).await;
    soon("it is asked", || recorder.refusals() > 1).await;
    assert_eq!(recorder.count(), 0);
    recorder.set_unavailable(false);
    soon("all come", || recorder.distinct() == 60).await;
    recorder.check_order();
    dead(&bed.dead_letters(), 0).await;
}

async fn two_relays_on_one_outbox_have_one_effect(bed: &Bed) {
    let told = bed.broadcasts(10, 50).await;
    let _one = bed.run([bed.history()]);
    let _other = bed.run([bed.history()]);
    for some in told.chunks(100) {
        bed.write(some).await;
    }
    bed.took_effect_once(10, 50, Duration::from_secs(60)).await;
}
