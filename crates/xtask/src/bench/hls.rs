//! Segments and playlists from memory, against nginx with the same bytes in files.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use super::{
    Bench, STEADY, http,
    machine::Meter,
    pause,
    publisher::Publisher,
    report::{Report, Target},
    server::Server,
};
use crate::say;

/// The servers take turns, so that what else the machine does meets both.
const ROUNDS: usize = 2;
const LOAD: &str = "-t1 -c50 -d8";
/// How long a server without requests is watched.
const IDLE: Duration = Duration::from_secs(4);

/// What a load on one URL cost.
#[derive(Default, Clone, Copy)]
struct Cost {
    /// Seconds.
    cpu: f64,
    requests: f64,
}

/// Measures while the publisher is away: the window stays, and nothing but requests costs.
pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    say("HLS: waiting for a steady window");
    let (ours, peer) = (Server::ours(bench)?, Server::peer()?);
    let publisher = Publisher::start(&bench.content, &ours.publish())?;
    pause(STEADY);
    publisher.check()?;
    drop(publisher);
    pause(Duration::from_secs(2));

    let friends = media_playlist(&ours, "/live/live/friends.m3u8")?;
    let low_latency = media_playlist(&ours, "/live/live/index.m3u8")?;
    let playlist = String::from_utf8(http::get(ours.http, &friends)?)?;
    let segment = playlist
        .lines()
        .rfind(|line| !line.is_empty() && !line.starts_with('#'))
        .with_context(|| format!("no segment in {playlist}"))?;
    let segment = resolve(&friends, segment);
    let idle = (idle(&ours)?, idle(&peer)?);

    let mut run = |name: &str, path: &str, unit: &str| -> Result<()> {
        let bytes = http::get(ours.http, path)?;
        peer.put(name, &bytes)?;
        say(&format!("HLS: {name} of {} bytes", bytes.len()));
        let (mut mine, mut theirs) = (Cost::default(), Cost::default());
        for _ in 0..ROUNDS {
            mine.add(load(&ours, path, idle.0)?);
            theirs.add(load(&peer, &format!("/{name}"), idle.1)?);
        }
        let per = |cost: Cost| match unit {
            "CPU s/GB" => cost.cpu * 1e9 / (cost.requests * bytes.len() as f64),
            _ => cost.cpu * 1e6 / cost.requests,
        };
        let what = format!("HLS {name}, {} B: {unit}", bytes.len());
        report.add(what, per(mine), per(theirs), Target::OfPeer(2.0));
        Ok(())
    };
    run("segment", &segment, "CPU s/GB")?;
    run("playlist", &friends, "CPU us/request")?;
    run("LL playlist", &low_latency, "CPU us/request")
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.requests += other.requests;
    }
}

/// The first variant of a multivariant playlist.
fn media_playlist(server: &Server, path: &str) -> Result<String> {
    let text = String::from_utf8(http::get(server.http, path)?)?;
    let variant = text
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .with_context(|| format!("no variant in {text}"))?;
    Ok(resolve(path, variant))
}

/// A reference against the path it stands in.
fn resolve(base: &str, reference: &str) -> String {
    if reference.starts_with('/') {
        return reference.to_owned();
    }
    let mut folders: Vec<&str> = base.split('/').collect();
    folders.pop();
    for part in reference.split('/') {
        match part {
            ".." => drop(folders.pop()),
            "." => {}
            part => folders.push(part),
        }
    }
    folders.join("/")
}

/// CPU seconds per second.
fn idle(server: &Server) -> Result<f64> {
    let meter = Meter::start(server.processes()?)?;
    pause(IDLE);
    Ok(meter.read()?.as_secs_f64() / IDLE.as_secs_f64())
}

fn load(server: &Server, path: &str, idle: f64) -> Result<Cost> {
    let url = format!(
        "http://127.0.0.1:{}{}",
        server.http,
        path.replace(' ', "%20")
    );
    let meter = Meter::start(server.processes()?)?;
    let output = Command::new("wrk")
        .args(LOAD.split(' '))
        .arg(&url)
        .output()
        .context("run wrk")?;
    let cpu = meter.read()?.as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    let faults = ["Non-2xx", "Socket errors"];
    if !output.status.success() || faults.iter().any(|fault| text.contains(fault)) {
        bail!("wrk {url}: {text}");
    }
    let (requests, seconds) = summary(&text).with_context(|| format!("wrk said {text}"))?;
    Ok(Cost {
        cpu: cpu - idle * seconds,
        requests,
    })
}

/// Of `  1234 requests in 8.01s, 1.2GB read`: requests and seconds.
fn summary(text: &str) -> Option<(f64, f64)> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.split_once(" requests in ")?;
    let (seconds, _) = rest.split_once("s,")?;
    Some((requests.trim().parse().ok()?, seconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        assert_eq!(
            resolve("/live/a/index.m3u8", "s/1/x.m3u8"),
            "/live/a/s/1/x.m3u8"
        );
        assert_eq!(
            resolve("/live/a/s/1/x.m3u8", "../../3/7.m4s"),
            "/live/a/3/7.m4s"
        );
        assert_eq!(resolve("/live/a/index.m3u8", "/b"), "/b");
    }

    #[test]
    fn the_load_generator_is_understood() {
        let text = "Running 8s test\n  16141 requests in 8.01s, 10.44GB read\nRequests/sec: 1\n";
        assert_eq!(summary(text), Some((16141.0, 8.01)));
    }
}
