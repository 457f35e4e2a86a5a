//! What a data channel costs: one peer serves, others fetch, over loopback; CPU seconds per Gbit of each side.
//!
//! `cargo run --release -p peer --example throughput -- [links] [seconds] [Mbit/s per link]`
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use peer::{Event, Inventory, LinkId, Options, Peer, Source};
use runtime::Shutdown;
use types::{Msn, StreamId};

/// Two seconds of 4 Mbit/s.
const SEGMENT: usize = 1_000_000;
const WITHIN: Duration = Duration::from_secs(30);

struct One(Bytes);

impl Source for One {
    fn segment(&self, _: StreamId, _: Msn) -> Option<Bytes> {
        Some(self.0.clone())
    }

    fn inventory(&self, _: StreamId) -> Inventory {
        Inventory {
            loaded: vec![Msn::new(1)],
            loading: Vec::new(),
        }
    }
}

/// A peer in a thread of its own, so that its CPU time is its own.
fn alone(source: Arc<dyn Source>, name: &str) -> Option<(Peer, peer::Events)> {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let shutdown = Shutdown::new();
            let options = Options {
                listen: ([127, 0, 0, 1], 0).into(),
                ..Options::default()
            };
            if let Ok(bound) = Peer::bind(options, source, &shutdown) {
                let _ = tell.send(bound);
                shutdown.cancelled().await;
            }
        });
    };
    thread.spawn(run).ok()?;
    told.recv().ok()
}

/// CPU seconds of the threads of this name, user and system.
fn cpu(name: &str) -> (f64, f64) {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let stats = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let fields: Vec<f64> = tail
            .split(' ')
            .filter_map(|field| field.parse().ok())
            .collect();
        // The state, a letter, is left out; utime and stime are the 11th and 12th number then.
        let named = head.ends_with(&format!("({name}"));
        named.then(|| Some((*fields.get(10)? / 100.0, *fields.get(11)? / 100.0)))?
    });
    stats.fold((0.0, 0.0), |sum, (user, system)| {
        (sum.0 + user, sum.1 + system)
    })
}

async fn fetch_all(
    peer: Peer,
    mut events: peer::Events,
    link: LinkId,
    until: Instant,
    pause: Duration,
) -> u64 {
    while !matches!(events.recv().await, Some(Event::Announced { .. }) | None) {}
    let mut bytes = 0;
    let mut next = Instant::now();
    let mut msn = Msn::new(1);
    while Instant::now() < until {
        msn = msn.next();
        match peer.fetch(link.clone(), msn, WITHIN).await {
            Ok(segment) => bytes += segment.len() as u64,
            Err(error) => println!("{link:?}: {error}"),
        }
        next += pause;
        tokio::time::sleep_until(next.into()).await;
    }
    bytes
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<f64>().unwrap_or(0.0));
    let links = arguments.next().unwrap_or(4.0) as usize;
    let seconds = arguments.next().unwrap_or(10.0);
    let mbit = arguments.next().unwrap_or(0.0);
    let pause = if mbit > 0.0 {
        SEGMENT as f64 * 8.0 / (mbit * 1e6)
    } else {
        0.0
    };
    let pause = Duration::from_secs_f64(pause);
    let stream = StreamId::new();
    let source = Arc::new(One(Bytes::from(vec![7; SEGMENT])));
    let Some((seeder, _events)) = alone(source, "seeder") else {
        return;
    };
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let started = Instant::now();
    let mut running = Vec::new();
    for index in 0..links {
        let Some(id) = LinkId::new(Bytes::from(format!("link {index}"))) else {
            return;
        };
        let Some((leecher, events)) = alone(Arc::new(()), "leecher") else {
            return;
        };
        let Ok(offer) = leecher.offer(id.clone(), stream).await else {
            return;
        };
        let Ok(answer) = seeder.answer(id.clone(), stream, offer).await else {
            return;
        };
        if leecher.accept(id.clone(), answer).await.is_err() {
            return;
        }
        running.push(tokio::spawn(fetch_all(leecher, events, id, until, pause)));
    }
    let mut bytes = 0;
    for running in running {
        bytes += running.await.unwrap_or_default();
    }
    let gigabits = bytes as f64 * 8.0 / 1e9;
    let wall = started.elapsed().as_secs_f64();
    println!(
        "{links} links, {gigabits:.2} Gbit in {wall:.1} s: {:.0} Mbit/s",
        gigabits * 1e3 / wall
    );
    for name in ["seeder", "leecher"] {
        let (user, system) = cpu(name);
        let per = (user + system) / gigabits;
        println!("{name}: {per:.2} CPU s per Gbit ({user:.2} user, {system:.2} system)");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("memory of all, {}", peak.unwrap_or_default());
}
