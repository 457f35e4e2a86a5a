//! Twenty publishers with HLS on: CPU and memory per publisher.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    Bench, STEADY,
    machine::{self, Meter},
    pause, pause_until,
    publisher::Publisher,
    report::{Report, Target},
    server::Server,
};
use crate::say;

const PUBLISHERS: usize = 20;
/// Between two publishers: their GOPs don't begin together.
const SPREAD: Duration = Duration::from_millis(100);
/// How long an idle server is watched.
const IDLE: Duration = Duration::from_secs(4);

/// Measures one server after the other.
pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let ours = cost(bench, Server::ours(bench)?)?;
    let peer = cost(bench, Server::peer()?)?;
    let n = PUBLISHERS;
    report.add(
        format!("{n} publishers, HLS on: CPU ms/publisher-s"),
        ours.0,
        peer.0,
        Target::OfPeer(1.0),
    );
    report.add(
        format!("{n} publishers, HLS on: KiB/publisher"),
        ours.1,
        peer.1,
        Target::None,
    );
    Ok(())
}

/// CPU milliseconds per publisher-second, and KiB per publisher.
fn cost(bench: &Bench, server: Server) -> Result<(f64, f64)> {
    say("publishers: waiting for a steady window");
    let streams = (1..=PUBLISHERS)
        .map(|number| server.add_stream(&format!("bench-{number}")))
        .collect::<Result<Vec<_>>>()?;
    let processes = server.processes()?;
    let meter = Meter::start(processes.clone())?;
    pause(IDLE);
    let idle = meter.read()?.as_secs_f64() / IDLE.as_secs_f64();
    let before = machine::resident(&processes)?;
    let start = Instant::now();
    let mut publishers = Vec::new();
    for stream in &streams {
        publishers.push(Publisher::start(&bench.content, stream)?);
        pause(SPREAD);
    }
    pause_until(start + STEADY);
    let (meter, start) = (Meter::start(processes.clone())?, Instant::now());
    pause(bench.window);
    let used = meter.read()?.as_secs_f64() / start.elapsed().as_secs_f64() - idle;
    let memory = machine::resident(&processes)? - before;
    publishers.iter().try_for_each(Publisher::check)?;
    let n = PUBLISHERS as f64;
    Ok((used * 1000.0 / n, memory / n))
}
