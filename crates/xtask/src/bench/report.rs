//! The table of figures, with the targets beside.

use super::{
    content::Content,
    machine::{describe, load},
};
use crate::say;

/// What is aimed for.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Told for information.
    None,
    /// At most this.
    AtMost(f64),
    /// At most this many times the peer's figure of the same run.
    OfPeer(f64),
}

/// One figure of both servers.
pub(super) struct Figure {
    /// What was measured, with its unit.
    pub(super) what: String,
    /// This server's.
    pub(super) ours: Option<f64>,
    /// The peer's.
    pub(super) peer: Option<f64>,
    /// What is aimed for.
    pub(super) target: Target,
}

/// The figures of one run.
pub(super) struct Report {
    machine: String,
    kbits: f64,
    figures: Vec<Figure>,
}

impl Report {
    /// An empty table.
    pub(super) fn new(content: &Content) -> Self {
        Self {
            machine: describe(),
            kbits: content.kbits(),
            figures: Vec::new(),
        }
    }

    /// Adds a figure.
    pub(super) fn add(
        &mut self,
        what: impl Into<String>,
        ours: impl Into<Option<f64>>,
        peer: impl Into<Option<f64>>,
        target: Target,
    ) {
        let figure = Figure {
            what: what.into(),
            ours: ours.into(),
            peer: peer.into(),
            target,
        };
        say(&format!("  {}", figure.row()));
        self.figures.push(figure);
    }

    /// Prints the table on standard output.
    #[expect(clippy::print_stdout, reason = "the table is what the task is for")]
    pub(super) fn print(&self) {
        println!("{}, at the end {}", self.machine, load());
        println!("content: {:.0} kbit/s, 720p30, GOP 2 s\n", self.kbits);
        println!("{:<52} {:>9} {:>9}  target", "", "streamr", "nginx");
        for figure in &self.figures {
            println!("{}", figure.row());
        }
        println!("\nLL-HLS delay in a browser: the end-to-end tests of the watch page measure it.");
    }
}

impl Figure {
    fn row(&self) -> String {
        let row = format!(
            "{:<52} {:>9} {:>9}  {}",
            self.what,
            number(self.ours),
            number(self.peer),
            self.verdict()
        );
        row.trim_end().to_owned()
    }

    fn verdict(&self) -> String {
        let bound = match self.target {
            Target::None => None,
            Target::AtMost(bound) => Some(bound),
            Target::OfPeer(factor) => self.peer.map(|peer| peer * factor),
        };
        let (Some(bound), Some(ours)) = (bound, self.ours) else {
            return String::new();
        };
        let word = if ours <= bound { "met" } else { "MISSED" };
        let times = match self.target {
            Target::OfPeer(factor) => format!(" ({factor} x nginx)"),
            _ => String::new(),
        };
        format!("<= {}{times}: {word}", number(Some(bound)))
    }
}

/// Three digits that matter.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

/// The value below which `share` of `values` lie; zero when there are none.
pub(super) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    let at = (last * share).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_members() {
        let values = [3.0, 1.0, 2.0];
        assert!((percentile(&values, 0.0) - 1.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 0.5) - 2.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 1.0) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_target_relative_to_the_peer_is_judged_by_the_peer() {
        let figure = |ours| Figure {
            what: String::new(),
            ours: Some(ours),
            peer: Some(0.3),
            target: Target::OfPeer(0.5),
        };
        assert!(figure(0.14).verdict().ends_with("met"));
        assert!(figure(0.16).verdict().ends_with("MISSED"));
    }
}
