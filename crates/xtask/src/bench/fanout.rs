//! One publisher, many viewers: CPU and memory per viewer, and what each viewer gets.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{
    Bench, STEADY,
    crowd::Crowd,
    machine::{self, Meter},
    pause, pause_until,
    publisher::Publisher,
    report::{Report, Target, percentile},
    server::Server,
    target,
};
use crate::say;

/// From the last join to the measurement: viewers have caught up.
const SETTLE: Duration = Duration::from_secs(5);

/// What one protocol of one server costs.
struct Cost {
    /// CPU milliseconds per viewer-second, without what the server needs with no viewers.
    net: f64,
    /// The same with it.
    gross: f64,
    /// KiB per viewer.
    memory: f64,
    /// kbit/s by viewer.
    rates: Vec<f64>,
}

/// Measures HTTP-FLV and RTMP play of ours, and RTMP play of the peer.
pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    say("fan-out: waiting for a steady window");
    // A server each, as memory that one crowd leaves behind would hide the next crowd's.
    let servers = [Server::ours(bench)?, Server::ours(bench)?, Server::peer()?];
    let start = Instant::now();
    let publishers = servers
        .iter()
        .map(|server| Publisher::start(&bench.content, &server.publish()))
        .collect::<Result<Vec<_>>>()?;
    pause_until(start + STEADY.saturating_sub(bench.window));
    let meters = servers
        .iter()
        .map(|server| Meter::start(server.processes()?))
        .collect::<Result<Vec<_>>>()?;
    pause(bench.window);
    let bases = meters.iter().map(Meter::read).collect::<Result<Vec<_>>>()?;

    let [first, second, third] = &servers;
    let targets = [first.http_flv(), second.play(), third.play()];
    let mut costs = Vec::new();
    for ((server, base), target) in servers.iter().zip(bases).zip(&targets) {
        costs.push(cost(bench, server, base, target)?);
    }
    publishers.iter().try_for_each(Publisher::check)?;
    let Ok([flv, play, peer]) = <[Cost; 3]>::try_from(costs) else {
        bail!("not all was measured");
    };
    tell(bench, report, "HTTP-FLV", &flv, &peer, Target::OfPeer(0.5));
    tell(
        bench,
        report,
        "RTMP play",
        &play,
        &peer,
        Target::OfPeer(1.0),
    );
    Ok(())
}

fn cost(bench: &Bench, server: &Server, base: Duration, target: &target::Target) -> Result<Cost> {
    say(&format!("fan-out: {} viewers join", bench.viewers));
    let processes = server.processes()?;
    let before = machine::resident(&processes)?;
    let crowd = Crowd::join(target, bench.viewers)?;
    pause(SETTLE);
    let (meter, received, start) = (
        Meter::start(processes.clone())?,
        crowd.received(),
        Instant::now(),
    );
    pause(bench.window);
    let (used, later, time) = (
        meter.read()?,
        crowd.received(),
        start.elapsed().as_secs_f64(),
    );
    let memory = machine::resident(&processes)? - before;
    if crowd.closed() > 0 {
        say(&format!("fan-out: {} viewers were cut off", crowd.closed()));
    }
    drop(crowd);
    pause(SETTLE);
    let viewers = bench.viewers as f64;
    let viewer_seconds = viewers * time;
    let bytes = received.iter().zip(&later).map(|(a, b)| b - a);
    Ok(Cost {
        net: used.saturating_sub(base).as_secs_f64() * 1000.0 / viewer_seconds,
        gross: used.as_secs_f64() * 1000.0 / viewer_seconds,
        memory: memory / viewers,
        rates: bytes.map(|n| n as f64 * 8.0 / 1000.0 / time).collect(),
    })
}

fn tell(bench: &Bench, report: &mut Report, name: &str, ours: &Cost, peer: &Cost, cpu: Target) {
    let n = bench.viewers;
    let mut add = |what: &str, value: &dyn Fn(&Cost) -> f64, target| {
        report.add(
            format!("{name}, {n}: {what}"),
            value(ours),
            value(peer),
            target,
        );
    };
    let expected = bench.content.kbits();
    add("CPU ms/viewer-s, net", &|cost| cost.net, cpu);
    add("CPU ms/viewer-s, gross", &|cost| cost.gross, Target::None);
    add("KiB/viewer", &|cost| cost.memory, Target::AtMost(32.0));
    add(
        "kbit/s, least",
        &|cost| percentile(&cost.rates, 0.0),
        Target::None,
    );
    add(
        "kbit/s, p50",
        &|cost| percentile(&cost.rates, 0.5),
        Target::None,
    );
    let laggards = |cost: &Cost| {
        let late = cost.rates.iter().filter(|rate| **rate < 0.95 * expected);
        late.count() as f64
    };
    add(
        "viewers below 95 % of the rate",
        &laggards,
        Target::AtMost(0.0),
    );
}
