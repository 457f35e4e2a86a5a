//! The event bus: from the outbox on PostgreSQL by RabbitMQ to the consumer's commit.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::{
    Bench,
    report::{Report, Target},
};
use crate::{broker::test_of_events, say};

/// What the test of `events` prints, how it is called here, and what is aimed for.
const FIGURES: [(&str, &str, Target); 9] = [
    (
        "bus_1000_p50_ms",
        "bus: delay at 1,000 events/s, p50, ms",
        Target::None,
    ),
    (
        "bus_1000_p99_ms",
        "bus: delay at 1,000 events/s, p99, ms",
        Target::AtMost(100.0),
    ),
    (
        "bus_1000_max_ms",
        "bus: delay at 1,000 events/s, most, ms",
        Target::None,
    ),
    (
        "bus_2600_reached_per_s",
        "bus: applied of 2,600 events/s",
        Target::None,
    ),
    (
        "bus_2600_p99_ms",
        "bus: delay at 2,600 events/s, p99, ms",
        Target::None,
    ),
    (
        "bus_5000_reached_per_s",
        "bus: applied of 5,000 events/s",
        Target::None,
    ),
    (
        "bus_5000_p99_ms",
        "bus: delay at 5,000 events/s, p99, ms",
        Target::None,
    ),
    (
        "bus_7600_reached_per_s",
        "bus: applied of 7,600 events/s",
        Target::None,
    ),
    (
        "bus_10000_reached_per_s",
        "bus: applied of 10,000 events/s",
        Target::None,
    ),
];

/// Adds the figures.
pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    say("the event bus");
    let mut test = test_of_events(&bench.root, "rate::from_the_outbox_to_the_consumer")?;
    let output = test
        .stderr(Stdio::inherit())
        .output()
        .context("run the test")?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the test of the bus failed:\n{told}"
    );
    for (name, what, target) in FIGURES {
        let figure = told.lines().find_map(|line| {
            line.strip_prefix("figure ")?
                .strip_prefix(name)?
                .trim()
                .parse()
                .ok()
        });
        report.add(what, figure, None, target);
    }
    Ok(())
}
