//! What the kernel says of the machine.

use std::fs;

fn text(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// Cores, model, kernel and load.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = text("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("", |name| name.trim_start_matches([' ', '\t', ':']));
    format!(
        "{cores} cores ({model}), Linux {}, load {}",
        text("/proc/sys/kernel/osrelease").trim(),
        load()
    )
}

/// The load averages.
pub(crate) fn load() -> String {
    text("/proc/loadavg")
        .split(' ')
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

/// How many files this process, and those it starts, may have open.
pub(crate) fn descriptors() -> usize {
    let limits = text("/proc/self/limits");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().next());
    most.and_then(|most| most.parse().ok()).unwrap_or(1024)
}
