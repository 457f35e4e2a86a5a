//! Watch pages in headless Chromium that stay open, driven by `tests/browser/watchers.mjs`.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use crate::{Limits, script};

/// How long an act may take on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Bytes by who sent them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Carried {
    /// Friends' nodes.
    pub friends: u64,
    /// Other viewers.
    pub peers: u64,
    /// Edges.
    pub edge: u64,
}

impl Carried {
    /// All of them.
    pub fn total(self) -> u64 {
        self.friends + self.peers + self.edge
    }

    /// The part that no edge sent.
    pub fn share(self) -> f64 {
        (self.friends + self.peers) as f64 / self.total().max(1) as f64
    }

    /// What came since.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            friends: self.friends - before.friends,
            peers: self.peers - before.peers,
            edge: self.edge - before.edge,
        }
    }
}

impl std::iter::Sum for Carried {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |sum, one| Self {
            friends: sum.friends + one.friends,
            peers: sum.peers + one.peers,
            edge: sum.edge + one.edge,
        })
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Sources {
    bytes: Carried,
    rejected: Carried,
    left: Left,
}

/// Peers that a page left, by why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Left {
    /// Their bytes were wrong.
    pub wrong: u32,
    /// They were too slow, or silent.
    pub slow: u32,
    /// The server said so.
    pub told: u32,
}

/// What one page counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageCounts {
    /// Names it in [`Watchers::close`].
    pub id: u32,
    /// From its opening to the first moving picture.
    pub startup_ms: Option<u64>,
    /// The longest time the picture stood still.
    pub longest_freeze_ms: u64,
    /// The player's state.
    #[serde(default)]
    pub state: String,
    /// Seconds behind live.
    pub latency: Option<f64>,
    /// Where the picture is.
    #[serde(default)]
    pub time: f64,
    carried: Option<Sources>,
    bytes: Option<StockBytes>,
    /// Errors on its console.
    pub errors: Vec<String>,
}

/// What a page of p2p-media-loader's counts.
#[derive(Debug, Clone, Copy, Deserialize)]
struct StockBytes {
    p2p: u64,
    http: u64,
}

impl PageCounts {
    /// Of a stock page: bytes from peers, and by HTTP.
    pub fn stock(&self) -> Option<(u64, u64)> {
        self.bytes.map(|bytes| (bytes.p2p, bytes.http))
    }

    /// Verified bytes by who sent them.
    pub fn carried(&self) -> Carried {
        self.carried.clone().unwrap_or_default().bytes
    }

    /// Bytes that were not what the origin signed.
    pub fn rejected(&self) -> Carried {
        self.carried.clone().unwrap_or_default().rejected
    }

    /// Peers that it left.
    pub fn left(&self) -> Left {
        self.carried.clone().unwrap_or_default().left
    }
}

/// Pages that stay open.
#[derive(Debug)]
pub struct Watchers {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Watchers {
    /// A browser without pages.
    pub fn start() -> Result<Self> {
        Self::start_with(&Limits::default())
    }

    /// The same, bound by limits.
    pub fn start_with(limits: &Limits) -> Result<Self> {
        let command = script::command_with("watchers.mjs", limits)?;
        let mut command = tokio::process::Command::from(command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("start watchers.mjs")?;
        let input = child.stdin.take().context("its input")?;
        let output = child.stdout.take().context("its output")?;
        Ok(Self {
            _child: child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    async fn act(&mut self, act: &Value) -> Result<Value> {
        let line = format!("{act}\n");
        self.input.write_all(line.as_bytes()).await?;
        let answer = crate::within(PATIENCE, "the pages", self.output.next_line()).await??;
        let answer: Value = serde_json::from_str(&answer.context("the pages are gone")?)?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{act}: {error}");
        }
        Ok(answer)
    }

    /// Opens watch pages; `delay` is what the viewer chose: `friends` or `low_latency`.
    pub async fn open(&mut self, url: &str, count: usize, delay: &str) -> Result<()> {
        let act = json!({ "do": "open", "url": url, "count": count, "delay": delay });
        self.act(&act).await.map(drop)
    }

    /// Opens watch pages one by one, each when the one before plays; the first `stay` of them stay. Answers how long
    /// each took to its first moving picture; `None`: it has none after two minutes.
    pub async fn come(
        &mut self,
        url: &str,
        (count, stay): (usize, usize),
        delay: &str,
    ) -> Result<Vec<Option<Duration>>> {
        let act = json!({ "do": "come", "url": url, "count": count, "stay": stay, "delay": delay });
        let answer = self.act(&act).await?;
        let startups: Vec<Option<u64>> = serde_json::from_value(answer["startups"].clone())?;
        let each = startups.into_iter();
        Ok(each.map(|ms| ms.map(Duration::from_millis)).collect())
    }

    /// Opens a page of p2p-media-loader's that knows nothing of us.
    pub async fn stock(&mut self, session: &Value) -> Result<()> {
        let act = json!({ "do": "stock", "session": session });
        self.act(&act).await.map(drop)
    }

    /// What every page counts.
    pub async fn read(&mut self) -> Result<Vec<PageCounts>> {
        let answer = self.act(&json!({ "do": "read" })).await?;
        serde_json::from_value(answer["pages"].clone()).with_context(|| answer.to_string())
    }

    /// What all pages got together.
    pub async fn carried(&mut self) -> Result<Carried> {
        let pages = self.read().await?;
        Ok(pages.iter().map(PageCounts::carried).sum())
    }

    /// Stalls are counted from here on.
    pub async fn forget(&mut self) -> Result<()> {
        self.act(&json!({ "do": "forget" })).await.map(drop)
    }

    /// Leaves all pages, as viewers do: the last receipts go out.
    pub async fn close(&mut self) -> Result<()> {
        self.act(&json!({ "do": "close" })).await.map(drop)
    }
}
