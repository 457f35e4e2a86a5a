//! What the kernel says of processes and of the machine.

use std::{
    collections::HashMap,
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

/// The CPU time of some processes from a moment on.
pub(super) struct Meter {
    processes: Vec<u32>,
    start: HashMap<u32, u64>,
}

impl Meter {
    /// Starts counting.
    pub(super) fn start(processes: Vec<u32>) -> Result<Self> {
        let start = on_cpu(&processes)?;
        Ok(Self { processes, start })
    }

    /// What the processes' threads used since.
    pub(super) fn read(&self) -> Result<Duration> {
        let now = on_cpu(&self.processes)?;
        let used = now.iter().map(|(thread, time)| {
            time.saturating_sub(self.start.get(thread).copied().unwrap_or(0))
        });
        Ok(Duration::from_nanos(used.sum()))
    }
}

/// Nanoseconds on a CPU, by thread.
fn on_cpu(processes: &[u32]) -> Result<HashMap<u32, u64>> {
    let mut times = HashMap::new();
    for process in processes {
        let threads = fs::read_dir(format!("/proc/{process}/task"))
            .with_context(|| format!("process {process} has ended"))?;
        for thread in threads.flatten() {
            // A thread may end while we look.
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let time: Option<u64> = text.split(' ').next().and_then(|time| time.parse().ok());
            let id: Option<u32> = thread.file_name().to_str().and_then(|id| id.parse().ok());
            times.extend(id.zip(time));
        }
    }
    Ok(times)
}

/// KiB resident.
pub(super) fn resident(processes: &[u32]) -> Result<f64> {
    let mut total = 0.0;
    for process in processes {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        total += number.context("no VmRSS")?.parse::<f64>()?;
    }
    Ok(total)
}

/// The processes that `process` started.
pub(super) fn children(process: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    Ok(text.split_whitespace().flat_map(str::parse).collect())
}

/// Puts this process, and those it starts, before the machine's other work; only root may.
pub(super) fn prefer_us() {
    let process = std::process::id().to_string();
    for command in ["renice -n -5 -p", "prlimit --nofile=65536:65536 --pid"] {
        let mut words = command.split(' ');
        let Some(program) = words.next() else {
            continue;
        };
        let _ = Command::new(program)
            .args(words)
            .arg(&process)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Asks a process to end.
pub(super) fn terminate(process: u32) {
    let _ = Command::new("kill")
        .arg(process.to_string())
        .stderr(Stdio::null())
        .status();
}

/// Cores, model and load.
pub(super) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let text = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpu = text("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("", |name| name.trim_start_matches([' ', '\t', ':']));
    let kernel = text("/proc/sys/kernel/osrelease");
    format!(
        "{cores} cores ({model}), Linux {}, load {}",
        kernel.trim(),
        load()
    )
}

/// The load averages.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
