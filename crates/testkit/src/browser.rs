//! Headless Chromium on the watch page, driven by `tests/browser/driver.mjs` over playwright.
//!
//! One browser serves a whole test program; every look is a page of its own.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{process::start, script};

/// What to look at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// The page.
    pub url: String,
    /// The `data-state` to wait for.
    pub state: String,
    /// How long to wait for it, in milliseconds.
    pub patience_ms: u64,
    /// How long to watch then, in milliseconds.
    pub watch_ms: u64,
    /// Where to put a picture of the page.
    pub screenshot: Option<PathBuf>,
}

impl Watch {
    /// Wait for `url` to play and watch it for `seconds`.
    pub fn playing(url: &str, seconds: u64) -> Self {
        Self {
            url: url.to_owned(),
            state: "playing".to_owned(),
            patience_ms: 30_000,
            watch_ms: seconds * 1000,
            screenshot: None,
        }
    }
}

/// What the page did.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageReport {
    /// The player's `data-state` at the end.
    pub state: String,
    /// Its `data-latency` at the end, in seconds.
    pub latency: Option<f64>,
    /// Its `data-stalls` at the end.
    pub stalls: Option<u32>,
    /// Seconds the video advanced while watched.
    pub advanced: f64,
    /// Frames shown while watched.
    pub frames: u64,
    /// Bytes of sound decoded while watched.
    pub audio_bytes: u64,
    /// Whether it is muted.
    pub muted: bool,
    /// Milliseconds from opening the page to the state waited for.
    pub startup_ms: u64,
    /// The longest time the picture stood still while watched, in milliseconds.
    pub longest_freeze_ms: u64,
    /// Errors on the console and of the page.
    pub errors: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reply {
    Failed { error: String },
    Report(PageReport),
}

struct Driver {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// The browser that all tests of a program share; one page at a time, so that they don't slow each other.
#[derive(Debug)]
pub struct Browser;

impl Browser {
    /// Watches a page.
    pub async fn watch(watch: Watch) -> Result<PageReport> {
        tokio::task::spawn_blocking(move || {
            let mut driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = ask(&mut driver, &watch);
            if outcome.is_err()
                && let Some(mut broken) = driver.take()
            {
                let _ = broken.child.kill();
                let _ = broken.child.wait();
            }
            match outcome? {
                Reply::Report(report) => Ok(report),
                Reply::Failed { error } => bail!("{}: {error}", watch.url),
            }
        })
        .await?
    }
}

fn ask(slot: &mut Option<Driver>, watch: &Watch) -> Result<Reply> {
    let driver = match slot {
        Some(driver) => driver,
        None => slot.insert(launch()?),
    };
    writeln!(driver.input, "{}", serde_json::to_string(watch)?)?;
    driver.input.flush()?;
    let mut line = String::new();
    driver.output.read_line(&mut line)?;
    ensure!(
        !line.is_empty(),
        "the browser's driver ended; see its words above"
    );
    serde_json::from_str(&line).with_context(|| format!("the driver said {line}"))
}

fn launch() -> Result<Driver> {
    let mut command = script::command("driver.mjs")?;
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut child = start(command)?;
    let input = child.stdin.take().context("no input")?;
    let output = child.stdout.take().context("no output")?;
    Ok(Driver {
        child,
        input,
        output: BufReader::new(output),
    })
}
