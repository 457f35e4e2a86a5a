//! `cargo xtask bench`: this server and its peer, measured side by side in the same run.
//!
//! The peer is nginx with its RTMP module, one worker, from Debian's packages. Everything runs on
//! loopback with the same content, publishers and viewers, so figures compare between the two servers of
//! one run, and not between machines.
//!
//! CPU is what the scheduler counted for the server's threads. "net" leaves out what the server needs
//! with its publishers and no viewers. On loopback the receiving half of TCP runs in the sender's
//! softirq, so a part of the viewers' cost is charged to the server, the same for both.
//! Memory is the resident set's growth once the window of segments is full; kernel buffers are not in it.
//! The event bus has no peer: it runs on PostgreSQL at `STREAMR_TEST_POSTGRES` and a RabbitMQ of its own.
//! The delay of LL-HLS in a browser is not measured here: the end-to-end tests do.

mod bus;
mod content;
mod crowd;
mod fanout;
mod hls;
mod http;
mod latency;
mod machine;
mod observer;
mod people;
mod publisher;
mod publishers;
mod report;
mod server;
mod target;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{cargo, say, succeed, web};
use content::Content;
use report::Report;

/// From the start of a publish until the window of segments no longer grows.
const STEADY: Duration = Duration::from_secs(78);

/// What to measure, and how.
#[derive(Args)]
pub(crate) struct Options {
    /// Viewers of the fan-out, and in the background of the latency measurement
    #[arg(long, default_value_t = 300)]
    viewers: usize,
    /// Length of a measurement; an even number holds whole GOPs
    #[arg(long, default_value_t = 14)]
    seconds: u64,
    /// Measure these only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Measure it on the PostgreSQL (an empty database), Redis and RabbitMQ that STREAMR_TEST_POSTGRES,
    /// STREAMR_TEST_REDIS and STREAMR_TEST_RABBITMQ name, instead of embedded defaults
    #[arg(long)]
    engines: bool,
    /// The `streamr` to measure; default: it is built
    #[arg(long)]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Fanout,
    Latency,
    Publishers,
    Hls,
    People,
    Bus,
}

/// What every measurement needs.
struct Bench {
    root: PathBuf,
    content: Arc<Content>,
    binary: PathBuf,
    viewers: usize,
    window: Duration,
    engines: bool,
}

/// Measures one part and adds its figures.
type Measure = fn(&Bench, &mut Report) -> Result<()>;

/// Measures and prints.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    install(root)?;
    let target = target_folder(root);
    let binary = match &options.binary {
        Some(binary) => binary
            .canonicalize()
            .with_context(|| format!("find {}", binary.display()))?,
        // The bus is measured without the server around it.
        None if options.only == [Part::Bus] => PathBuf::new(),
        None => build(root, &target)?,
    };
    let content = Content::load(&target.join("bench"))?;
    machine::prefer_us();
    let bench = Bench {
        root: root.to_owned(),
        content: Arc::new(content),
        binary,
        viewers: options.viewers,
        window: Duration::from_secs(options.seconds.max(2)),
        engines: options.engines,
    };
    let mut report = Report::new(&bench.content);
    let parts: [(Part, Measure); 6] = [
        (Part::Fanout, fanout::measure),
        (Part::Latency, latency::measure),
        (Part::Publishers, publishers::measure),
        (Part::Hls, hls::measure),
        (Part::People, people::measure),
        (Part::Bus, bus::measure),
    ];
    for (part, measure) in parts {
        if options.only.is_empty() || options.only.contains(&part) {
            measure(&bench, &mut report)?;
        }
    }
    report.print();
    Ok(())
}

/// Puts in place what is run beside our own binary; starts no service.
fn install(root: &Path) -> Result<()> {
    let script = "set -e; . scripts/lib.sh; need ffmpeg ffmpeg; need wrk wrk; \
        [ -x /usr/sbin/nginx ] && [ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ] \
        || install_packages nginx libnginx-mod-rtmp";
    succeed(Command::new("bash").args(["-c", script]).current_dir(root))
}

fn target_folder(root: &Path) -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root.join(named.unwrap_or_else(|| "target".into()))
}

fn build(root: &Path, target: &Path) -> Result<PathBuf> {
    web::build(root, false)?;
    say("building streamr");
    succeed(cargo(root).args(["build", "--quiet", "--release", "--package", "streamr"]))?;
    Ok(target.join("release/streamr"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no async runtime to block"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn pause_until(time: Instant) {
    pause(time.saturating_duration_since(Instant::now()));
}
