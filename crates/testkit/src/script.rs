//! Node's scripts in `tests/browser`, which drive Chromium over playwright.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::process::{Limits, bound_command};

/// A command that runs `name` of `tests/browser`.
pub(crate) fn command(name: &str) -> Result<Command> {
    command_with(name, &Limits::default())
}

/// [`command`], bound by limits.
pub(crate) fn command_with(name: &str, limits: &Limits) -> Result<Command> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser");
    ensure!(
        folder.join("node_modules/playwright-core").is_dir(),
        "playwright-core is not installed: run `npm ci` in tests/browser; ./scripts/test does"
    );
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/node/bin/node");
    let node = match env::var_os("STREAMR_TEST_NODE") {
        Some(node) => node.into(),
        None if own.is_file() => own,
        None => PathBuf::from("node"),
    };
    let mut command = bound_command(&node, limits);
    command.arg(name).current_dir(folder);
    Ok(command)
}

/// Runs `name` of `tests/browser` to its end, which must be a good one; answers what it printed.
pub async fn script(name: &str, arguments: &[&str], limit: Duration) -> Result<String> {
    let mut command = command(name)?;
    command.args(arguments).stdin(Stdio::null());
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let output = crate::within(limit, name, command.output()).await?;
    let output = output.with_context(|| format!("start {name}"))?;
    ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
