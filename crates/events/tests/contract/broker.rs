//! What only a broker does: several processes hear, and what nobody takes stays.

use std::time::Duration;

use events::{Kind, Outbox};

use crate::bed::{Bed, Recorder, broker, events, soon};

#[tokio::test]
async fn a_broadcast_reaches_every_process() {
    let bed = Bed::on_postgres(&broker()).await;
    let (one, other) = (Recorder::new(), Recorder::new());
    let first = bed.run([one.subscription("test.broadcast", Kind::Broadcast)]);
    let second = bed.run([other.subscription("test.broadcast", Kind::Broadcast)]);
    first.ready().await;
    second.ready().await;
    bed.write(&events(5, 20)).await;
    for recorder in [&one, &other] {
        soon("all come", || recorder.distinct() == 100).await;
        recorder.check_order();
    }
    bed.end().await;
}

#[tokio::test]
async fn an_event_that_no_queue_takes_stays_in_the_outbox() {
    let bed = Bed::on_postgres(&broker()).await;
    let lonely = bed.run([]);
    lonely.ready().await;
    bed.write(&events(1, 3)).await;
    let outbox = bed.database.outbox();
    let tried = testkit::eventually(Duration::from_secs(10), "it is tried", || async {
        let pending = outbox.pending(10).await?;
        Ok(pending
            .iter()
            .any(|event| event.attempts > 0)
            .then_some(pending))
    });
    assert_eq!(tried.await.unwrap().len(), 3);
    let recorder = Recorder::new();
    let _listener = bed.run([recorder.subscription("test.durable", Kind::Durable)]);
    soon("all come", || recorder.distinct() == 3).await;
    recorder.check_order();
    bed.end().await;
}

#[tokio::test]
async fn what_a_durable_subscription_missed_waits_for_it() {
    let bed = Bed::on_postgres(&broker()).await;
    let recorder = Recorder::new();
    let durable = || recorder.subscription("test.durable", Kind::Durable);
    let first = bed.run([durable()]);
    first.ready().await;
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _publisher = bed.run([]);
    bed.write(&events(2, 10)).await;
    let outbox = bed.database.outbox();
    testkit::eventually(Duration::from_secs(10), "all are sent", || async {
        Ok((outbox.backlog().await?.events == 0).then_some(()))
    })
    .await
    .unwrap();
    let _second = bed.run([durable()]);
    soon("all come", || recorder.distinct() == 20).await;
    bed.end().await;
}
