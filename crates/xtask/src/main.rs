//! Repository tasks: `cargo xtask <verb>`. Needs cargo only, so it builds before the pages do.

#[cfg(feature = "bench")]
mod bench;
mod broker;
mod check;
mod layers;
mod node;
mod node_dist;
mod swarm;
mod web;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Repository tasks")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the pages into crates/web/dist, when their sources changed
    Web {
        /// Build even when nothing changed
        #[arg(long)]
        force: bool,
    },
    /// Write the API's description beside the pages, which generate their client from it
    Openapi,
    /// Formatting, clippy, layers, and the pages' own checks where node is
    Check,
    /// Check that dependencies between crates point down only
    Layers,
    /// The end-to-end tests on two of each service, and every outage; takes an hour
    Distributed,
    /// Kill the leader of a three-node RabbitMQ while events flow; takes a PostgreSQL at STREAMR_TEST_POSTGRES
    Broker,
    /// Print the folder of a node that is new enough; install one when there is none
    Node,
    /// Build the node that friends download: one static file; prints its size
    NodeDist,
    /// Measure friends carrying a stream behind NATs, and what a coordinator bears; as root, for networks
    #[command(disable_help_flag = true)]
    Swarm {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Measure this server and nginx with its RTMP module, side by side
    #[cfg(feature = "bench")]
    Bench(bench::Options),
    /// Measure this server and nginx with its RTMP module, side by side
    #[cfg(not(feature = "bench"))]
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &Verb) -> Result<()> {
    let root = root()?;
    match verb {
        Verb::Web { force } => web::build(&root, *force),
        Verb::Openapi => openapi(&root),
        Verb::Check => check::run(&root),
        Verb::Layers => layers::check(&root),
        Verb::Distributed => succeed(Command::new(root.join("scripts/test")).arg("--distributed")),
        Verb::Broker => broker::run(&root),
        Verb::Node => node::print(&root),
        Verb::NodeDist => node_dist::build(&root),
        Verb::Swarm { arguments } => swarm::run(&root, arguments),
        #[cfg(feature = "bench")]
        Verb::Bench(options) => bench::run(&root, options),
        #[cfg(not(feature = "bench"))]
        Verb::Bench { arguments } => bench_with_feature(&root, arguments),
    }
}

/// The coordinator's own test writes the copy that it otherwise compares.
fn openapi(root: &Path) -> Result<()> {
    let test = "test --quiet --package coordinator --lib the_pages_copy_is_current";
    succeed(
        cargo(root)
            .args(test.split(' '))
            .env("STREAMR_UPDATE_OPENAPI", "1"),
    )
}

/// Runs the bench from an xtask that has it: optimized, and with what only it needs.
#[cfg(not(feature = "bench"))]
fn bench_with_feature(root: &Path, arguments: &[std::ffi::OsString]) -> Result<()> {
    let build = "run --quiet --release --package xtask --features bench -- bench";
    succeed(cargo(root).args(build.split(' ')).args(arguments))
}

/// The workspace's folder.
fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("xtask is not in crates/xtask")
}

/// Tells whoever runs the task.
#[expect(clippy::print_stderr, reason = "a command line speaks on stderr")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Runs a command to its end; its failure is ours.
fn succeed(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command.status().with_context(|| format!("run {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// The cargo that runs us.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
