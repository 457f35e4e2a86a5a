//! What was delivered, said to one coordinator: signed, said again until it is kept, also after a restart.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use prost::Message;
use proto::node::{Delivery, DeliveryReport, SignedReport};
use serde::{Deserialize, Serialize};
use types::{NodeId, RunId};

use crate::identity::Identity;

/// Bytes of reports that wait. A day without coordinator with ten viewers takes a half.
const MAX_WAITING: usize = 16 * 1024 * 1024;
/// A report's span, as the coordinator accepts it.
const MAX_SPAN_MS: i64 = 60_000;
/// A clock that is set back by more begins a new run: its reports would be from the future until then.
const SET_BACK_MS: i64 = 5_000;
/// Reports that are said and not kept yet: further ones wait until some are. Offers and heartbeats go between them.
const MAX_SAID: usize = 64;
/// One that is not kept after this long is said again: the coordinator heard it, and could not write it.
const AGAIN: Duration = Duration::from_secs(25);

/// Reports for one coordinator.
#[derive(Debug)]
pub(crate) struct Reporter {
    run: RunId,
    sequence: u64,
    from_ms: i64,
    open: BTreeMap<Bytes, (u64, u32)>,
    waiting: VecDeque<Report>,
    waiting_bytes: usize,
}

/// A report that is not kept by the coordinator yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Report {
    run: RunId,
    sequence: u64,
    body: Bytes,
    signature: Bytes,
    /// The connection on which it was said last, and when.
    said: Option<(u64, Instant)>,
}

/// A report in the file that outlives the program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spooled {
    run: RunId,
    sequence: u64,
    body: String,
    signature: String,
}

impl Reporter {
    /// For a run that starts now; `spooled` is what earlier runs left.
    pub(crate) fn new(run: RunId, now_ms: i64, spooled: Vec<Spooled>) -> Self {
        let mut reporter = Self {
            run,
            sequence: 0,
            from_ms: now_ms,
            open: BTreeMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        };
        for report in spooled {
            let decoded = STANDARD.decode(report.body).ok();
            let signature = STANDARD.decode(report.signature).ok();
            if let (Some(body), Some(signature)) = (decoded, signature) {
                reporter.keep(Report {
                    run: report.run,
                    sequence: report.sequence,
                    body: body.into(),
                    signature: signature.into(),
                    said: None,
                });
            }
        }
        reporter
    }

    /// A link delivered.
    pub(crate) fn add(&mut self, link: Bytes, bytes: u64, segments: u32) {
        let sum = self.open.entry(link).or_default();
        sum.0 = sum.0.saturating_add(bytes);
        sum.1 = sum.1.saturating_add(segments);
    }

    /// Makes a report of what was delivered since the last; none of nothing.
    pub(crate) fn close(&mut self, identity: &Identity, node: NodeId, now_ms: i64) {
        if self.from_ms.saturating_sub(now_ms) > SET_BACK_MS {
            (self.run, self.sequence, self.from_ms) = (RunId::new(), 0, now_ms);
        }
        // A clock that was set back a little doesn't make spans that overlap.
        let to = now_ms.max(self.from_ms);
        let from = self.from_ms.max(to.saturating_sub(MAX_SPAN_MS));
        self.from_ms = to;
        if self.open.is_empty() {
            return;
        }
        self.sequence += 1;
        let deliveries = std::mem::take(&mut self.open).into_iter();
        let report = DeliveryReport {
            node_id: node.to_string(),
            run_id: self.run.to_string(),
            sequence: self.sequence,
            from_unix_ms: from,
            to_unix_ms: to,
            deliveries: deliveries
                .map(|(link, (bytes, segments))| Delivery {
                    link,
                    bytes,
                    segments,
                })
                .collect(),
        };
        let body = Bytes::from(report.encode_to_vec());
        self.keep(Report {
            run: self.run,
            sequence: self.sequence,
            signature: identity.sign_report(&body),
            body,
            said: None,
        });
    }

    fn keep(&mut self, report: Report) {
        self.waiting_bytes += report.body.len();
        self.waiting.push_back(report);
        while self.waiting_bytes > MAX_WAITING {
            let Some(lost) = self.waiting.pop_front() else {
                return;
            };
            self.waiting_bytes -= lost.body.len();
            tracing::warn!(
                sequence = lost.sequence,
                "delivery report is lost: the coordinator was away too long"
            );
        }
    }

    /// The next report that was not said on this connection, or so long ago that it is said again; none while
    /// many are being written.
    pub(crate) fn next(&mut self, connection: u64, now: Instant) -> Option<SignedReport> {
        let is_due = |report: &Report| {
            report.said.is_none_or(|(on, at)| {
                on != connection || now.saturating_duration_since(at) >= AGAIN
            })
        };
        let said = self.waiting.iter().filter(|report| !is_due(report)).count();
        if said >= MAX_SAID {
            return None;
        }
        let report = self.waiting.iter_mut().find(|report| is_due(report))?;
        report.said = Some((connection, now));
        Some(SignedReport {
            body: report.body.clone(),
            signature: report.signature.clone(),
        })
    }

    /// The coordinator keeps this report. Of an earlier one that says nothing: its writing may have failed.
    pub(crate) fn kept(&mut self, run: RunId, sequence: u64) {
        self.waiting
            .retain(|report| report.run != run || report.sequence != sequence);
        self.waiting_bytes = self.waiting.iter().map(|report| report.body.len()).sum();
    }

    /// The coordinator hung up on what was said on this connection: the oldest of that is given up, so that one
    /// report it can't take doesn't keep all others from it.
    pub(crate) fn refused(&mut self, connection: u64) {
        let on_this = |report: &Report| report.said.is_some_and(|(on, _)| on == connection);
        let said = self.waiting.iter().position(on_this);
        if let Some(lost) = said.and_then(|index| self.waiting.remove(index)) {
            self.waiting_bytes -= lost.body.len();
            tracing::warn!(
                sequence = lost.sequence,
                "delivery report is refused, and given up"
            );
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What waits, for the file.
    pub(crate) fn spool(&self) -> Vec<Spooled> {
        let reports = self.waiting.iter().map(|report| Spooled {
            run: report.run,
            sequence: report.sequence,
            body: STANDARD.encode(&report.body),
            signature: STANDARD.encode(&report.signature),
        });
        reports.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_makes_no_report_of_the_future() {
        let (identity, node, run) = (Identity::generate(), NodeId::new(), RunId::new());
        let hours = 2 * 3600 * 1000;
        let mut reporter = Reporter::new(run, hours, Vec::new());
        let mut said = |now_ms| {
            reporter.add(Bytes::from_static(b"a"), 10, 1);
            reporter.close(&identity, node, now_ms);
            decode(&reporter.next(1, Instant::now()).unwrap())
        };
        let (before, after, next) = (said(hours + 10_000), said(20_000), said(30_000));
        assert_eq!(before.run_id, run.to_string());
        assert_ne!(after.run_id, before.run_id);
        assert_eq!((after.sequence, after.to_unix_ms), (1, 20_000));
        assert_eq!(next.run_id, after.run_id);
        assert_eq!((next.from_unix_ms, next.to_unix_ms), (20_000, 30_000));
    }

    fn decode(report: &SignedReport) -> DeliveryReport {
        DeliveryReport::decode(report.body.clone()).unwrap()
    }

    #[test]
    fn reports_are_said_until_they_are_kept_also_by_the_next_run() {
        let (identity, node, run) = (Identity::generate(), NodeId::new(), RunId::new());
        let mut reporter = Reporter::new(run, 1000, Vec::new());
        reporter.close(&identity, node, 2000);
        let now = Instant::now();
        assert_eq!(reporter.next(1, now), None, "nothing was delivered");
        reporter.add(Bytes::from_static(b"a"), 10, 1);
        reporter.add(Bytes::from_static(b"a"), 5, 0);
        reporter.close(&identity, node, 3000);
        reporter.add(Bytes::from_static(b"b"), 7, 1);
        reporter.close(&identity, node, 2500);
        let first = decode(&reporter.next(1, now).unwrap());
        assert_eq!(
            (first.sequence, first.from_unix_ms, first.to_unix_ms),
            (1, 2000, 3000)
        );
        assert_eq!(
            (first.deliveries[0].bytes, first.deliveries[0].segments),
            (15, 1)
        );
        let second = decode(&reporter.next(1, now).unwrap());
        assert_eq!(
            (second.sequence, second.from_unix_ms, second.to_unix_ms),
            (2, 3000, 3000)
        );
        assert_eq!(reporter.next(1, now + AGAIN / 2), None);
        assert_eq!(
            decode(&reporter.next(2, now).unwrap()).sequence,
            1,
            "a new connection"
        );
        reporter.kept(RunId::new(), 9);
        reporter.refused(9);
        assert_eq!(reporter.waiting(), 2);
        reporter.kept(run, 2);
        assert_eq!(
            decode(&reporter.next(2, now + AGAIN).unwrap()).sequence,
            1,
            "kept is the second: the first is said again"
        );
        reporter.kept(run, 1);
        assert_eq!(reporter.waiting(), 0);
        reporter.add(Bytes::from_static(b"c"), 9, 1);
        reporter.close(&identity, node, 4000);

        let mut later = Reporter::new(RunId::new(), 9000, reporter.spool());
        let again = decode(&later.next(1, now).unwrap());
        assert_eq!((again.run_id, again.sequence), (run.to_string(), 3));
        later.refused(1);
        assert_eq!(
            later.waiting(),
            0,
            "one that is refused is not said for ever"
        );
        assert_eq!(later.next(2, now), None);
    }

    #[test]
    fn only_so_many_are_said_at_once() {
        let (identity, node, run) = (Identity::generate(), NodeId::new(), RunId::new());
        let mut reporter = Reporter::new(run, 0, Vec::new());
        for at in 1..=500 {
            reporter.add(Bytes::from_static(b"a"), 1, 0);
            reporter.close(&identity, node, at);
        }
        let now = Instant::now();
        let said = |reporter: &mut Reporter, now| {
            std::iter::from_fn(|| reporter.next(1, now))
                .map(|report| decode(&report).sequence)
                .collect::<Vec<_>>()
        };
        let first = said(&mut reporter, now);
        assert_eq!(first.len(), MAX_SAID);
        for sequence in &first[..10] {
            reporter.kept(run, *sequence);
        }
        assert_eq!(said(&mut reporter, now).len(), 10, "as many as were kept");
        assert_eq!(said(&mut reporter, now + AGAIN).len(), MAX_SAID, "again");
    }

    #[test]
    fn a_span_is_a_minute_at_most_and_what_waits_is_bounded() {
        let (identity, node) = (Identity::generate(), NodeId::new());
        let mut reporter = Reporter::new(RunId::new(), 0, Vec::new());
        let now = Instant::now();
        reporter.add(Bytes::from_static(b"a"), 1, 0);
        reporter.close(&identity, node, 600_000);
        let report = decode(&reporter.next(1, now).unwrap());
        assert_eq!((report.from_unix_ms, report.to_unix_ms), (540_000, 600_000));
        for at in 0..300 {
            reporter.add(Bytes::from(vec![0; 100_000]), 1, 0);
            reporter.close(&identity, node, 600_000 + at);
        }
        assert!(reporter.waiting_bytes <= MAX_WAITING && reporter.waiting() > 100);
        let oldest = decode(&reporter.next(9, now).unwrap()).sequence;
        assert!(
            oldest > 100,
            "the oldest are lost, not the newest: {oldest}"
        );
    }
}
