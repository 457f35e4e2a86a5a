//! A program of ours as a process that can't outlive the tests.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, mpsc},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};

/// What a process may use.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// File descriptors (`ulimit -n`).
    pub descriptors: Option<u32>,
    /// A network of its own, as `ip netns` names it; only root may.
    pub network: Option<String>,
}

impl Limits {
    /// Nothing but a network of its own, if there is one.
    pub fn network(network: Option<&str>) -> Self {
        Self {
            descriptors: None,
            network: network.map(str::to_owned),
        }
    }
}

/// A running process with its log.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

type Order = (Command, mpsc::SyncSender<std::io::Result<Child>>);

/// The kernel kills our processes when the thread that started them ends, so this one never does: not the
/// thread of a test, and not after a test's failure.
static STARTER: LazyLock<mpsc::SyncSender<Order>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::sync_channel::<Order>(16);
    std::thread::spawn(move || {
        for (mut command, answer) in inbox {
            // Who ordered it may have given up.
            let _ = answer.send(command.spawn());
        }
    });
    orders
});

/// Starts `command` from the thread that lives as long as the tests.
pub(crate) fn start(command: Command) -> Result<Child> {
    let (answer, outcome) = mpsc::sync_channel(1);
    STARTER
        .send((command, answer))
        .context("the starter thread is gone")?;
    let program = outcome.recv().context("the starter thread is gone")?;
    program.context("start a process")
}

/// A command whose process dies with the tests.
pub(crate) fn bound_command(program: &Path, limits: &Limits) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    if let Some(descriptors) = limits.descriptors {
        command.args([
            "prlimit",
            &format!("--nofile={descriptors}:{descriptors}"),
            "--",
        ]);
    }
    if let Some(network) = &limits.network {
        command.args(["nsenter", &format!("--net=/run/netns/{network}"), "--"]);
    }
    command.arg(program);
    command
}

impl Process {
    /// Starts `program` with nothing in its environment but `environment`; its output goes to a file in
    /// `folder`.
    pub fn start(
        name: &str,
        program: &Path,
        folder: &Path,
        environment: &BTreeMap<String, String>,
        limits: Limits,
    ) -> Result<Self> {
        Self::start_with(name, program, &[], folder, environment, limits)
    }

    /// [`Self::start`] with arguments.
    pub(crate) fn start_with(
        name: &str,
        program: &Path,
        arguments: &[String],
        folder: &Path,
        environment: &BTreeMap<String, String>,
        limits: Limits,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().append(true).create(true).open(&log)?;
        let mut command = bound_command(program, &limits);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", folder)
            .env("RUST_BACKTRACE", "1")
            .env("NO_COLOR", "1")
            .envs(environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = start(command).with_context(|| format!("start {}", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal by its name, such as `STOP`.
    pub fn signal(&self, signal: &str) -> Result<()> {
        // The shell's own `kill`: a bare system has no other.
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{signal} {}", self.pid()))
            .status()?;
        ensure!(status.success(), "send {signal} to {}", self.name);
        Ok(())
    }

    /// Waits for its end.
    pub async fn exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(
                Instant::now() < deadline,
                "{} still runs after {limit:?}",
                self.name
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Why it ended, if it did.
    pub fn epitaph(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("code {code}"),
            (None, signal) => format!("signal {signal:?}"),
        };
        Some(format!(
            "{} ended with {how}:\n{}",
            self.name,
            tail(&self.log(), 40)
        ))
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that was ever resident, in KiB.
    pub fn peak_kib(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok())
            .with_context(|| format!("no {name}"))
    }

    /// What its threads used of the machine's time, as the scheduler counts.
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            // One may end while we look.
            let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            let used = text.split(' ').next().and_then(|used| used.parse().ok());
            nanos += used.unwrap_or(0_u64);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process dies of SIGKILL too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last `lines` lines of `text`.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
