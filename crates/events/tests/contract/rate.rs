//! How fast: from the outbox to the consumer's commit. `cargo xtask bench --only bus` runs it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use events::{Event, Handler, HandlerError, Kind, Outbox, Subscription};
use parking_lot::Mutex;
use storage::StreamHistory;
use testkit::engines::RabbitMq;

use crate::bed::{Bed, broadcast, now_us};

/// Streams whose broadcasts are told.
const STREAMS: usize = 200;

/// Writes the history and remembers when each event was in it.
struct Timed {
    history: StreamHistory,
    delays_ms: Mutex<Vec<f64>>,
}

#[async_trait]
impl Handler for Timed {
    async fn handle(&self, events: &[Event]) -> Result<(), HandlerError> {
        let applied = self.history.apply("test.timed", events).await;
        applied.map_err(HandlerError::unavailable)?;
        let now = now_us();
        let delays = events
            .iter()
            .map(|event| (now - event.time_us) as f64 / 1e3);
        self.delays_ms.lock().extend(delays);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "cargo xtask bench runs it"]
#[expect(clippy::print_stdout, reason = "it answers with figures")]
async fn from_the_outbox_to_the_consumer() {
    let broker = RabbitMq::start().await.unwrap();
    let bed = Bed::on_postgres(&broker.url()).await;
    bed.broadcasts(STREAMS, 0).await;
    let timed = Arc::new(Timed {
        history: bed.database.history(),
        delays_ms: Mutex::default(),
    });
    let running = bed.run([Subscription {
        name: "test.timed",
        kind: Kind::Durable,
        facts: &[],
        handler: Arc::clone(&timed) as Arc<dyn Handler>,
    }]);
    running.ready().await;
    let warming = send(&bed, 400, Duration::from_secs(3)).await;
    drained(&bed, &timed, warming).await;
    timed.delays_ms.lock().clear();

    let sent = send(&bed, 1000, Duration::from_secs(20)).await;
    drained(&bed, &timed, sent).await;
    let delays = std::mem::take(&mut *timed.delays_ms.lock());
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        println!(
            "figure bus_1000_{name}_ms {:.1}",
            percentile(&delays, share)
        );
    }
    for rate in [2600, 5000, 7600, 10_000] {
        let started = Instant::now();
        let sent = send(&bed, rate, Duration::from_secs(10)).await;
        let written = started.elapsed();
        drained(&bed, &timed, sent).await;
        let took = started.elapsed();
        let delays = std::mem::take(&mut *timed.delays_ms.lock());
        println!(
            "figure bus_{rate}_reached_per_s {:.0}\nfigure bus_{rate}_written_per_s {:.0}\nfigure bus_{rate}_p99_ms {:.1}",
            sent as f64 / took.as_secs_f64(),
            sent as f64 / written.as_secs_f64(),
            percentile(&delays, 0.99),
        );
    }
    bed.end().await;
}

/// Writes so many events a second, as transactions of many writers would; answers how many.
async fn send(bed: &Bed, per_second: usize, time: Duration) -> usize {
    const TICK: Duration = Duration::from_millis(10);
    let streams = bed.streams.lock().clone();
    let ticks = usize::try_from(time.as_millis() / TICK.as_millis()).unwrap();
    // A pair each of a hundred ticks a second.
    let pairs = per_second / 200;
    let begin = tokio::time::Instant::now();
    let mut at = 0;
    for tick in 0..ticks {
        tokio::time::sleep_until(begin + TICK * u32::try_from(tick).unwrap()).await;
        let mut told = Vec::with_capacity(pairs * 2);
        for _ in 0..pairs.max(1) {
            let (stream, slug) = &streams[at % streams.len()];
            told.extend(broadcast(*stream, slug, 1));
            at += 1;
        }
        bed.write(&told).await;
    }
    at * 2
}

async fn drained(bed: &Bed, timed: &Timed, expected: usize) {
    let outbox = bed.database.outbox();
    testkit::eventually(Duration::from_secs(120), "all are applied", || async {
        let applied = timed.delays_ms.lock().len() >= expected;
        Ok((applied && outbox.backlog().await?.events == 0).then_some(()))
    })
    .await
    .unwrap();
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}
