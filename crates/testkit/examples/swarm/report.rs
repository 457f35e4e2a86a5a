//! What is printed: lines as they are known, and all of them at the end.

use crate::machine;

/// The figures of one run.
pub(crate) struct Report {
    lines: Vec<String>,
}

impl Report {
    /// Says where it is measured.
    pub(crate) fn new(namespaces: bool) -> Self {
        let mut report = Self { lines: Vec::new() };
        report.note(&machine::describe());
        if !namespaces {
            report.note("on loopback, without NAT, loss and rates: network namespaces take root");
        }
        report
    }

    /// Begins a part.
    pub(crate) fn part(&mut self, name: &str) {
        self.note(&format!("\n{name}"));
    }

    /// A figure with its name.
    pub(crate) fn figure(&mut self, name: &str, value: &str) {
        self.note(&format!("  {name:<44} {value}"));
    }

    /// A figure that something is aimed for with.
    pub(crate) fn aimed(&mut self, name: &str, value: &str, aim: &str, met: bool) {
        let verdict = if met { "met" } else { "MISSED" };
        self.figure(name, &format!("{value:<24} aim: {aim}, {verdict}"));
    }

    /// Any line.
    pub(crate) fn note(&mut self, line: &str) {
        progress(line);
        self.lines.push(line.to_owned());
    }

    /// Prints everything.
    #[expect(clippy::print_stdout, reason = "the report is what was asked for")]
    pub(crate) fn print(&self) {
        for line in &self.lines {
            println!("{line}");
        }
    }
}

/// Tells whoever waits.
#[expect(clippy::print_stderr, reason = "a command line speaks on stderr")]
pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}

/// The middle one, and the worst.
pub(crate) fn spread(values: &mut [f64], unit: &str) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (values.len().saturating_sub(1) as f64 * share).round() as usize;
        values.get(index).copied().unwrap_or(f64::NAN)
    };
    format!("{:.2} {unit}, worst {:.2} {unit}", at(0.5), at(1.0))
}
