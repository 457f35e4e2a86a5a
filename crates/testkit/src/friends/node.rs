//! `streamr-node`, as a friend runs it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    process::{Limits, Process, bound_command},
    sandbox::binary,
};

/// What the node says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeStatus {
    /// New viewers are welcome.
    pub helping: bool,
    /// Served now.
    pub viewers: u32,
    /// Uploaded today.
    pub today_bytes: u64,
    /// Uploaded ever.
    pub total_bytes: u64,
}

/// A friend's node. Killed when it is dropped.
#[derive(Debug)]
pub struct FriendNode {
    folder: TempDir,
    process: Process,
    program: PathBuf,
    limits: Limits,
}

impl FriendNode {
    /// Accepts an invite and helps, in a folder of its own. `arguments` are those of `join`.
    pub fn join(link: &str, name: &str, arguments: &[&str]) -> Result<Self> {
        Self::join_with(link, name, arguments, Limits::default())
    }

    /// The same, bound by limits.
    pub fn join_with(link: &str, name: &str, arguments: &[&str], limits: Limits) -> Result<Self> {
        let folder = TempDir::with_prefix("streamr-node-")?;
        let program = binary("streamr-node")?;
        let mut all = vec!["join", link, "--name", name, "--page", "0"];
        all.extend_from_slice(arguments);
        let process = Self::start(&folder, &program, name, &all, &limits)?;
        Ok(Self {
            folder,
            process,
            program,
            limits,
        })
    }

    fn start(
        folder: &TempDir,
        program: &Path,
        name: &str,
        all: &[&str],
        limits: &Limits,
    ) -> Result<Process> {
        let data = folder.path().join("data");
        let mut arguments: Vec<String> = all.iter().map(|&argument| argument.to_owned()).collect();
        arguments.extend(["--data-dir".to_owned(), data.display().to_string()]);
        let nothing = BTreeMap::new();
        let limits = limits.clone();
        Process::start_with(name, program, &arguments, folder.path(), &nothing, limits)
    }

    /// Starts again with the identity it has.
    pub fn restart(&mut self, name: &str) -> Result<()> {
        self.process.kill()?;
        let arguments = ["run", "--page", "0"];
        self.process = Self::start(&self.folder, &self.program, name, &arguments, &self.limits)?;
        Ok(())
    }

    /// Runs another verb on its folder.
    pub async fn verb(&self, arguments: &[&str]) -> Result<Output> {
        let data = self.folder.path().join("data");
        let mut command = tokio::process::Command::from(bound_command(&self.program, &self.limits));
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(data)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = crate::within(Duration::from_secs(30), "the node's verb", command.output());
        Ok(output.await??)
    }

    /// How it does, as its own page says.
    pub async fn status(&self) -> Result<NodeStatus> {
        let output = self.verb(&["status", "--json"]).await?;
        ensure!(
            output.status.success(),
            "status: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).context("status is no JSON")
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for FriendNode {
    fn drop(&mut self) {
        // One that ended already is fine.
        let _ = self.process.kill();
    }
}
