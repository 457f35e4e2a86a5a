//! The swarm bench: real pages, light viewers and friends' nodes behind NATs, and what the coordinator bears.
//!
//! Run by `cargo xtask swarm`, which builds what is measured and gives this program a network of its own. All
//! programs are the real ones in release; viewers other than pages are `testkit`'s light ones, which speak the same
//! commands. There is no delay on the lines: kernels without netem can't make any.

mod carry;
mod crowd;
mod load;
mod machine;
mod memory;
mod nat;
mod report;
mod stage;
mod world;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use report::Report;
use world::World;

#[derive(Parser)]
#[command(
    name = "cargo xtask swarm",
    about = "Measure friends carrying a stream"
)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Inner>,
    #[command(flatten)]
    options: Options,
}

/// What runs in a home, started by the bench itself.
#[derive(Subcommand)]
enum Inner {
    /// Light viewers
    #[command(hide = true)]
    Crowd(crowd::Options),
}

/// What to measure.
#[derive(Args)]
struct Options {
    /// Viewers in all
    #[arg(long, default_value_t = 30)]
    viewers: usize,
    /// Of them, pages in Chromium
    #[arg(long, default_value_t = 3)]
    pages: usize,
    /// Friends' nodes
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// The stream's video, in kbit/s
    #[arg(long, default_value_t = 2500)]
    kbits: u32,
    /// Length of each measurement
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Measure these only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    #[command(flatten)]
    load: load::Options,
    /// There are namespaces: this process is alone in a network, and root
    #[arg(long, hide = true)]
    namespaces: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Which NATs let a node and a viewer meet
    Nat,
    /// Who carries how much, and whether anybody notices
    Carry,
    /// What a node needs for many viewers
    Memory,
    /// What a coordinator bears
    Load,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Inner::Crowd(options)) => crowd::run(options).await,
        None => tokio::select! {
            measured = measure(&arguments.options) => measured,
            // Dropping everything ends every process.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        },
    }
}

async fn measure(options: &Options) -> Result<()> {
    let is_meant = |part| options.only.is_empty() || options.only.contains(&part);
    let mut report = Report::new(options.namespaces);
    let mut world = World::make(options.namespaces)?;
    if is_meant(Part::Nat) && options.namespaces {
        nat::measure(&mut world, options, &mut report).await?;
    } else if is_meant(Part::Nat) {
        report.note("NATs are not tried: that takes network namespaces, which take root");
    }
    if is_meant(Part::Carry) {
        carry::measure(&mut world, options, &mut report).await?;
    }
    if is_meant(Part::Memory) {
        memory::measure(&mut world, options.seconds, &mut report).await?;
    }
    if is_meant(Part::Load) {
        load::measure(&options.load, options.seconds, &mut report).await?;
    }
    report.print();
    Ok(())
}
