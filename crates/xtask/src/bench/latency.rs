//! How late pictures reach viewers, and how soon a viewer has its first.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{
    Bench,
    crowd::Crowd,
    observer::{Seen, observe},
    pause,
    publisher::{Publisher, Sent},
    report::{self, Report, percentile},
    server::Server,
    target::Target,
};
use crate::say;

/// Viewers that look at every picture; spread over a GOP.
const OBSERVERS: u32 = 10;
const SPREAD: Duration = Duration::from_millis(200);
/// From the start of the publish to the first viewer.
const SETTLE: Duration = Duration::from_secs(6);

/// Measures both with and without other viewers.
pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let (ours, peer) = (Server::ours(bench)?, Server::peer()?);
    let publishers = (
        Publisher::start(&bench.content, &ours.publish())?,
        Publisher::start(&bench.content, &peer.publish())?,
    );
    pause(SETTLE);
    for background in [0, bench.viewers] {
        say(&format!("latency: with {background} other viewers"));
        let watch = |target: &Target, publisher: &Publisher| {
            let crowd = Crowd::join(target, background)?;
            if background > 0 {
                pause(SETTLE);
            }
            let seen = watch(target, &publisher.sent(), bench.window);
            drop(crowd);
            publisher.check()?;
            seen
        };
        let flv = watch(&ours.http_flv(), &publishers.0)?;
        let play = watch(&ours.play(), &publishers.0)?;
        let other = watch(&peer.play(), &publishers.1)?;
        tell(report, "HTTP-FLV", background, &flv, &other);
        tell(report, "RTMP play", background, &play, &other);
    }
    Ok(())
}

/// What all observers saw.
struct Summary {
    delays: Vec<f64>,
    joins: Vec<f64>,
}

fn watch(target: &Target, sent: &Sent, window: Duration) -> Result<Summary> {
    let end = Instant::now() + window;
    let seen: Vec<Result<Seen>> = std::thread::scope(|scope| {
        let observers: Vec<_> = (0..OBSERVERS)
            .map(|number| {
                scope.spawn(move || {
                    pause(SPREAD * number);
                    observe(target, sent, end)
                })
            })
            .collect();
        let joined = observers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join);
        joined.flatten().collect()
    });
    let mut summary = Summary {
        delays: Vec::new(),
        joins: Vec::new(),
    };
    for seen in seen {
        let seen = seen?;
        if seen.unknown > 0 {
            say(&format!(
                "latency: {} pictures changed on the way",
                seen.unknown
            ));
        }
        summary.delays.extend(seen.delays);
        summary.joins.extend(seen.join);
    }
    if summary.joins.len() < OBSERVERS as usize {
        bail!(
            "only {} of {OBSERVERS} viewers saw a picture",
            summary.joins.len()
        );
    }
    Ok(summary)
}

fn tell(report: &mut Report, name: &str, background: usize, ours: &Summary, peer: &Summary) {
    let aim = |bound: f64| match name {
        "HTTP-FLV" => report::Target::AtMost(bound),
        _ => report::Target::None,
    };
    let mut add = |what: &str, value: &dyn Fn(&Summary) -> f64, target| {
        let what = format!("{name}, {background} others: {what}");
        report.add(what, value(ours), value(peer), target);
    };
    add("delay ms, p50", &|s| percentile(&s.delays, 0.5), aim(100.0));
    add(
        "delay ms, p95",
        &|s| percentile(&s.delays, 0.95),
        report::Target::None,
    );
    add(
        "first keyframe ms, p50",
        &|s| percentile(&s.joins, 0.5),
        aim(50.0),
    );
    add(
        "first keyframe ms, most",
        &|s| percentile(&s.joins, 1.0),
        aim(50.0),
    );
}
