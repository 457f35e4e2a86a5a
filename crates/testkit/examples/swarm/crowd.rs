//! Light viewers in a home: a process of their own, so that they are behind its NAT.

use std::{io::Write, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use testkit::friends::{Carried, Habits, Light, LightCounts, light::Session};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::sleep,
};

use crate::world::Home;

/// As pages do in friends mode: three segments behind, no peer is left while there is time, and to the edge when two
/// seconds are left.
const HABITS: Habits = Habits {
    behind: 3,
    ahead: Duration::from_secs(6),
    one_peer: Duration::from_secs(4),
    short: Duration::from_secs(2),
    signs: true,
};
/// Between two arrivals.
const APART: Duration = Duration::from_millis(250);
/// How long a crowd may take to answer on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whom to be.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Where the pages are
    #[arg(long)]
    pages: String,
    #[arg(long)]
    slug: String,
    #[arg(long)]
    count: usize,
    /// Only the edge may serve
    #[arg(long)]
    alone: bool,
}

/// What one light viewer counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) friends: u64,
    pub(crate) peers: u64,
    pub(crate) edge: u64,
    pub(crate) startup_ms: Option<u64>,
    pub(crate) behind_ms: Option<u64>,
    pub(crate) stalls: u32,
    pub(crate) stalled_ms: u64,
    pub(crate) segments: usize,
    pub(crate) missed: u64,
    pub(crate) links: usize,
    pub(crate) trouble: String,
}

impl Counts {
    /// Bytes by who sent them.
    pub(crate) fn carried(&self) -> Carried {
        Carried {
            friends: self.friends,
            peers: self.peers,
            edge: self.edge,
        }
    }

    fn of(light: &LightCounts) -> Self {
        let millis = |time: Duration| time.as_millis() as u64;
        Self {
            friends: light.bytes.friends,
            peers: light.bytes.peers,
            edge: light.bytes.edge,
            startup_ms: light.startup.map(millis),
            behind_ms: light.behind.map(millis),
            stalls: light.stalls,
            stalled_ms: millis(light.stalled),
            segments: light.played.len(),
            missed: light.missed,
            links: light.links,
            trouble: light.trouble.clone(),
        }
    }
}

/// Watches until the input ends; each line of it asks for a line of counts.
pub(crate) async fn run(options: Options) -> Result<()> {
    let mut lights = Vec::with_capacity(options.count);
    for _ in 0..options.count {
        let session = Session::open_at(&options.pages, &options.slug, !options.alone).await?;
        lights.push(Light::with(session, HABITS).await?);
        sleep(APART).await;
    }
    while tokio::task::spawn_blocking(is_asked).await?? {
        let counts: Vec<Counts> = lights.iter().map(|l| Counts::of(&l.counts())).collect();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&counts)?)?;
        out.flush()?;
    }
    for light in lights {
        light.leave().await?;
    }
    Ok(())
}

/// Whether there is another line of input.
fn is_asked() -> Result<bool> {
    Ok(std::io::stdin().read_line(&mut String::new())? > 0)
}

/// Light viewers that run. They leave when this is dropped, without a word.
#[derive(Debug)]
pub(crate) struct Crowd {
    /// What they have in common.
    pub(crate) name: String,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    /// Sends viewers to a stream.
    pub(crate) fn start(
        name: &str,
        home: &Home,
        pages: &str,
        slug: &str,
        count: usize,
        alone: bool,
    ) -> Result<Self> {
        let own = std::env::current_exe()?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(network) = home.network() {
            command.args(["nsenter", &format!("--net=/run/netns/{network}"), "--"]);
        }
        command.arg(own).arg("crowd");
        command.args(["--pages", pages, "--slug", slug]);
        command.args(["--count", &count.to_string()]);
        if alone {
            command.arg("--alone");
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("start a crowd")?;
        let input = child.stdin.take().context("its input")?;
        let output = child.stdout.take().context("its output")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    /// What they count now.
    pub(crate) async fn read(&mut self) -> Result<Vec<Counts>> {
        self.input.write_all(b"read\n").await?;
        let line = testkit::within(PATIENCE, &self.name, self.output.next_line()).await??;
        Ok(serde_json::from_str(&line.context("a crowd is gone")?)?)
    }

    /// They leave, each with a last receipt.
    pub(crate) async fn leave(mut self) -> Result<()> {
        drop(self.input);
        testkit::within(PATIENCE, &self.name, self.child.wait()).await??;
        Ok(())
    }
}
