//! What a coordinator bears: simulated nodes and sessions on one server, all over loopback.
//!
//! Nodes are real gRPC streams (a hundred share a connection), sessions real WebSockets to the tracker; neither moves
//! media. A session opens, announces itself with three offers as pages do, again each minute, and signs a receipt each
//! half minute. Where the machine has too few descriptors for all, some stay connected and the others come back for
//! each announce: they cost the coordinator more, in handshakes, and less, in memory.
//! Assignment is timed from the announce's sending until a node hears of it; the simulation shares the machine.

mod links;
mod nodes;
mod sessions;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use testkit::{Fixture, Publication, Sandbox, StreamView};
use tokio::time::{Instant, sleep};

use self::{links::Links, nodes::Nodes, sessions::Sessions};
use crate::{
    machine,
    report::{Report, progress},
};

/// Of video, so that simulated nodes, which are taken for narrow ones, suffice.
const KBITS: u32 = 100;
/// Friends of one stream.
const NODES_OF_STREAM: usize = 1000;
/// For a stream to be live.
const LIVE: Duration = Duration::from_secs(60);
/// Everything has said something once.
const SETTLING: Duration = Duration::from_secs(35);

/// How much.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Simulated nodes
    #[arg(id = "load-nodes", long = "load-nodes", default_value_t = 10_000)]
    nodes: usize,
    /// Simulated sessions
    #[arg(
        id = "load-sessions",
        long = "load-sessions",
        default_value_t = 100_000
    )]
    sessions: usize,
    /// Sessions that come each second
    #[arg(id = "load-rate", long = "load-rate", default_value_t = 400)]
    rate: usize,
}

/// Measures, and adds its figures.
pub(crate) async fn measure(options: &Options, seconds: u64, report: &mut Report) -> Result<()> {
    report.part(&format!(
        "load: {} nodes and {} sessions on one coordinator (all services in its process)",
        options.nodes, options.sessions
    ));
    let most = "400000";
    let sandbox = Sandbox::one_process()
        .set("COORDINATOR__MAX_CONNECTIONS", most)
        .set("COORDINATOR__MAX_CONNECTIONS_PER_ADDRESS", most)
        .start()
        .await?;
    let loaded = load(&sandbox, options, seconds, report).await;
    if loaded.is_err() {
        sandbox.print_logs().await;
    }
    loaded
}

async fn go_live(sandbox: &Sandbox, count: usize) -> Result<Vec<(String, Publication)>> {
    let fixture = Fixture::of_bitrate(KBITS).await?;
    let mut streams = Vec::with_capacity(count);
    for number in 0..count {
        let stream = sandbox.add_stream(&format!("load-{number}")).await?;
        let source = testkit::Source::new(&fixture);
        let publication = source.publish(sandbox.rtmp(), &stream.key).await?;
        let is_live = |view: &StreamView| view.state == "live";
        sandbox.view_until(&stream.slug, LIVE, is_live).await?;
        streams.push((stream.slug, publication));
    }
    Ok(streams)
}

/// What the server's process used since.
struct Meter {
    since: Instant,
    cpu: Duration,
}

impl Meter {
    async fn start(sandbox: &Sandbox) -> Result<Self> {
        let cpu = sandbox.with("streamr", |process| process.cpu()).await?;
        Ok(Self {
            since: Instant::now(),
            cpu,
        })
    }

    /// Cores.
    async fn read(&self, sandbox: &Sandbox) -> Result<f64> {
        let cpu = sandbox.with("streamr", |process| process.cpu()).await?;
        let used = cpu.saturating_sub(self.cpu);
        Ok(used.as_secs_f64() / self.since.elapsed().as_secs_f64())
    }
}

async fn megabytes(sandbox: &Sandbox) -> Result<f64> {
    let kib = sandbox.with("streamr", |process| process.resident_kib());
    Ok(kib.await? as f64 / 1024.0)
}

async fn load(
    sandbox: &Sandbox,
    options: &Options,
    seconds: u64,
    report: &mut Report,
) -> Result<()> {
    let count = options.nodes.div_ceil(NODES_OF_STREAM).max(1);
    let streams = go_live(sandbox, count).await?;
    let slugs: Vec<String> = streams.iter().map(|(slug, _)| slug.clone()).collect();
    let links = Arc::new(Links::new(options.sessions * 2));
    let (began, meter) = (Instant::now(), Meter::start(sandbox).await?);
    let empty = megabytes(sandbox).await?;
    let nodes = Nodes::join(sandbox, &slugs, options.nodes, &links).await?;
    report.figure(
        "nodes invited, enrolled and connected",
        &format!(
            "{} in {:.0} s, {:.2} cores, {} failed",
            nodes.connected(),
            began.elapsed().as_secs_f64(),
            meter.read(sandbox).await?,
            nodes.failed()
        ),
    );
    let with_nodes = megabytes(sandbox).await?;
    report.figure(
        "memory with nodes only",
        &format!("{with_nodes:.0} MiB, {empty:.0} MiB before"),
    );
    let (began, meter) = (Instant::now(), Meter::start(sandbox).await?);
    let descriptors = machine::descriptors();
    let mut sessions = Sessions::new(sandbox, slugs, links.clone(), descriptors)?;
    report.figure(
        "sessions that stay connected at most",
        &format!(
            "{} ({descriptors} descriptors of a process)",
            sessions.most_held()
        ),
    );
    sessions.come(options.sessions, options.rate).await;
    report.figure(
        "sessions that came",
        &format!(
            "{} of {} in {:.0} s, {:.2} cores, load {}",
            sessions.here(),
            options.sessions,
            began.elapsed().as_secs_f64(),
            meter.read(sandbox).await?,
            machine::load()
        ),
    );
    if let Some(trouble) = sessions.trouble() {
        report.figure("what stopped others", &trouble);
    }
    timing(report, "assignment while they came", &links);
    let time = Duration::from_secs(seconds);
    steady(sandbox, &nodes, &mut sessions, &links, time, report).await?;
    let memory = megabytes(sandbox).await?;
    let each = (memory - with_nodes) * 1024.0 / sessions.here().max(1) as f64;
    report.figure(
        "the server's memory",
        &format!("{memory:.0} MiB, {each:.1} KiB a session"),
    );
    progress("  ending the sessions");
    drop(sessions);
    sandbox.all_run().await.context("after the load")
}

/// With all there: what is said, and how long assignments take while some leave and others come.
async fn steady(
    sandbox: &Sandbox,
    nodes: &Nodes,
    sessions: &mut Sessions,
    links: &Links,
    time: Duration,
    report: &mut Report,
) -> Result<()> {
    sleep(SETTLING).await;
    let before = (nodes.beats(), sessions.said());
    let (began, meter) = (Instant::now(), Meter::start(sandbox).await?);
    links.forget_times();
    sessions.change(time).await;
    let took = began.elapsed().as_secs_f64();
    let each_second = |count: u64| count as f64 / took;
    let ((announces, receipts), beats) = (sessions.said(), nodes.beats());
    report.figure(
        "each second, then",
        &format!(
            "{:.0} heartbeats, {:.0} announces, {:.0} receipts",
            each_second(beats - before.0),
            each_second(announces - before.1.0),
            each_second(receipts - before.1.1)
        ),
    );
    report.figure(
        "sessions that are here, and have a node",
        &format!(
            "{} and {}; the coordinator counts {}",
            sessions.here(),
            links.carried(),
            counted(sandbox).await?
        ),
    );
    timing(report, "assignment, one in 500 changing each second", links);
    report.figure(
        "the server's CPU",
        &format!("{:.2} cores", meter.read(sandbox).await?),
    );
    report.figure(
        "nodes that are still connected",
        &nodes.connected().to_string(),
    );
    Ok(())
}

/// Sessions in the coordinator's tables.
async fn counted(sandbox: &Sandbox) -> Result<String> {
    let metrics = sandbox.metrics().await?;
    let mut lines = metrics.lines();
    let found = lines.find_map(|line| line.strip_prefix("streamr_swarm_sessions "));
    Ok(found.unwrap_or("none").to_owned())
}

fn timing(report: &mut Report, name: &str, links: &Links) {
    let mut times = links.times();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (times.len().saturating_sub(1) as f64 * share).round() as usize;
        times.get(index).copied().unwrap_or(f64::NAN)
    };
    let (half, most) = (at(0.5), at(0.99));
    let value = format!("p50 {half:.1} ms, p99 {most:.1} ms of {}", times.len());
    report.aimed(name, &value, "p99 under 50 ms", most < 50.0);
}
