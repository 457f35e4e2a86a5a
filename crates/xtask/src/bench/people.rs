//! The API: authorised reads at a given rate, listeners of one stream, and how long a publisher's key takes
//! to be looked up. There is no peer: nginx has no accounts.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rtmp::session::Role;

use super::{
    Bench, http,
    machine::{Meter, resident},
    pause, pause_until,
    publisher::Publisher,
    report::{Report, Target},
    server::{OWNER, Server},
};
use crate::say;

/// Authorised reads a second, and connections that they share.
const RATE: u32 = 2000;
const CONNECTIONS: u32 = 8;
/// Listeners of one stream.
const LISTENERS: usize = 5000;
/// Publishers that come one after the other.
const PUBLISHERS: usize = 200;

/// Measures all three.
pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    say("API: authorised reads, listeners, publish authorization");
    let server = Server::ours(bench)?;
    let token = log_in(server.pages)?;
    let publisher = Publisher::start(&bench.content, &server.publish())?;
    pause(Duration::from_secs(4));
    for (name, path) in [
        ("one's own streams", "/api/v1/streams?owner=me"),
        ("a stream", "/api/v1/streams/live"),
    ] {
        reads(bench, report, &server, &token, name, path)?;
    }
    publisher.check()?;
    listeners(bench, report, &server)?;
    publisher.check()?;
    drop(publisher);
    authorization(report, &server)
}

fn log_in(port: u16) -> Result<String> {
    let (email, password) = OWNER;
    let body = serde_json::json!({ "email": email, "password": password }).to_string();
    let mut stream = http::connect(port)?;
    let request = format!(
        "POST /api/v1/auth/login HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let json = answer
        .split_once("\r\n\r\n")
        .context("no answer to logging in")?
        .1;
    let json: serde_json::Value = serde_json::from_str(json).context(answer.clone())?;
    json["access_token"]
        .as_str()
        .map(str::to_owned)
        .context(answer)
}

/// Latencies counted from when a request was due: one that waits for another counts its wait.
fn reads(
    bench: &Bench,
    report: &mut Report,
    server: &Server,
    token: &str,
    name: &str,
    path: &str,
) -> Result<()> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n");
    let meter = Meter::start(server.processes()?)?;
    let began = Instant::now() + Duration::from_millis(100);
    let mut latencies = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|caller| {
                let request = request.as_bytes();
                scope.spawn(move || call(server.pages, request, began, caller, bench.window))
            })
            .collect();
        for caller in callers {
            match caller.join() {
                Ok(measured) => latencies.extend(measured?),
                Err(_) => bail!("a caller panicked"),
            }
        }
        Ok(())
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = meter.read()?.as_secs_f64() / seconds * 100.0;
    let rate = latencies.len() as f64 / seconds;
    latencies.sort_unstable();
    let quantile = |part: f64| {
        let index = (latencies.len() as f64 * part) as usize;
        latencies
            .get(index)
            .map(|latency| latency.as_secs_f64() * 1e3)
    };
    let what = |figure: &str| format!("API, {name}: {figure}");
    report.add(what("reads a second"), rate, None, Target::None);
    report.add(what("p50, ms"), quantile(0.5), None, Target::None);
    report.add(what("p99, ms"), quantile(0.99), None, Target::AtMost(20.0));
    report.add(what("CPU, % of a core"), cpu, None, Target::None);
    Ok(())
}

fn call(
    port: u16,
    request: &[u8],
    began: Instant,
    caller: u32,
    window: Duration,
) -> Result<Vec<Duration>> {
    let mut stream = http::connect(port)?;
    let spacing = Duration::from_secs(1) * CONNECTIONS / RATE;
    let mut due = began + Duration::from_secs(1) * caller / RATE;
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while due < began + window {
        pause_until(due);
        stream.write_all(request)?;
        read_answer(&mut stream, &mut buffer)?;
        latencies.push(due.elapsed());
        due += spacing;
    }
    Ok(latencies)
}

/// One answer with a length, which must be 200.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(buffer.get_mut(filled..).unwrap_or_default())?;
        if read == 0 {
            bail!("the server hung up");
        }
        filled += read;
        let text = buffer.get(..filled).unwrap_or_default();
        let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head_text = String::from_utf8_lossy(text.get(..head).unwrap_or_default());
        if !head_text.starts_with("HTTP/1.1 200") {
            bail!("{}", head_text.lines().next().unwrap_or_default());
        }
        let length = head_text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())
            .context("no length")?;
        if filled >= head + 4 + length {
            return Ok(());
        }
    }
}

fn listeners(bench: &Bench, report: &mut Report, server: &Server) -> Result<()> {
    let before = resident(&server.processes()?)?;
    let mut open = Vec::with_capacity(LISTENERS);
    for _ in 0..LISTENERS {
        let (stream, _) = http::open(server.pages, "/api/v1/streams/live/events")?;
        open.push(stream);
    }
    // Everybody hears the stream change each second, and reads.
    let meter = Meter::start(server.processes()?)?;
    let began = Instant::now();
    let mut buffer = vec![0; 64 * 1024];
    for stream in &open {
        stream.set_nonblocking(true)?;
    }
    while began.elapsed() < bench.window {
        for stream in &mut open {
            while matches!(stream.read(&mut buffer), Ok(read) if read > 0) {}
        }
        pause(Duration::from_millis(200));
    }
    let cpu = meter.read()?.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let grown = (resident(&server.processes()?)? - before) / 1024.0;
    let what = |figure: &str| format!("{LISTENERS} listeners: {figure}");
    report.add(what("memory, MiB"), grown, None, Target::AtMost(200.0));
    report.add(what("CPU, % of a core"), cpu, None, Target::None);
    Ok(())
}

/// The coordinator's own measure of it: what an encoder waits for besides is its connection.
fn authorization(report: &mut Report, server: &Server) -> Result<()> {
    pause(Duration::from_secs(1));
    let stream = server.add_stream("authorized")?;
    for _ in 0..PUBLISHERS {
        drop(stream.open(Role::Publish)?);
        // A publisher is gone once the server has read that it hung up.
        pause(Duration::from_millis(50));
    }
    pause(Duration::from_millis(500));
    let metrics = String::from_utf8(http::get(server.ops, "/metrics")?)?;
    let p99 = upper_bound(&metrics, 0.99).context("no streamr_authorize_publish_seconds")?;
    report.add(
        "publish authorization, p99 at most, ms",
        p99 * 1e3,
        None,
        Target::AtMost(10.0),
    );
    Ok(())
}

/// The smallest bucket's bound that so large a part of the observations lies under, in seconds.
fn upper_bound(metrics: &str, part: f64) -> Option<f64> {
    let buckets: Vec<(f64, f64)> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("streamr_authorize_publish_seconds_bucket{le=\""))
        .filter_map(|line| {
            let (bound, count) = line.split_once("\"} ")?;
            Some((bound.parse().ok()?, count.parse().ok()?))
        })
        .collect();
    let total = buckets.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    let found = buckets.iter().find(|(_, count)| *count >= total * part);
    found.map(|(bound, _)| *bound).filter(|_| total > 0.0)
}
