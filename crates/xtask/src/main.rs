//! Repository tasks: `cargo xtask <verb>`. Needs cargo only, so it builds before the pages do.

mod check;
mod layers;
mod node;
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
    /// Formatting, clippy, layers, and the pages' own checks where node is
    Check,
    /// Check that dependencies between crates point down only
    Layers,
    /// Print the folder of a node that is new enough; install one when there is none
    Node,
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
        Verb::Check => check::run(&root),
        Verb::Layers => layers::check(&root),
        Verb::Node => node::print(&root),
    }
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
