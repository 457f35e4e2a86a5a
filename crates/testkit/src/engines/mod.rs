//! Databases, caches and buses as private processes: each in a folder of its own, on a free port, so that a
//! test may kill, stop and restart what is its own. Those that run already are not touched.

mod postgres;
mod rabbitmq;
mod redis;

pub use postgres::{Postgres, add_database};
pub use rabbitmq::RabbitMq;
pub use redis::Redis;

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    eventually,
    process::{start, tail},
};

/// How long a server may take to listen.
const STARTING: Duration = Duration::from_secs(30);

/// Whether these tests run as root, whom PostgreSQL refuses to serve.
pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    })
}

/// `parent` and all that it started, as far as it still runs.
fn family(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let born: Vec<(u32, u32)> = processes
        .filter_map(|entry| {
            let number: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name, in brackets, may hold anything; state and parent follow.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((number, parent.parse().ok()?))
        })
        .collect();
    let mut found = vec![parent];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            born.iter()
                .filter(|(_, of)| *of == parent)
                .map(|(own, _)| own),
        );
        next += 1;
    }
    found
}

/// A server's process. It and all that it starts end with it.
#[derive(Debug)]
pub(super) struct Engine {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Engine {
    /// Starts `program`, as `user` if it is given; output goes to a file in `folder`.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        user: Option<&str>,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().append(true).create(true).open(&log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command
            .arg("--")
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = start(command).with_context(|| format!("start {}", program.display()))?;
        Ok(Self { name, child, log })
    }

    /// What it wrote so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal by its name, such as `STOP`, to the server and its children.
    pub(super) fn signal(&self, signal: &str) -> Result<()> {
        let processes = family(self.child.id());
        let numbers: Vec<String> = processes.iter().map(u32::to_string).collect();
        // One of the children may have ended since; the server itself was not waited for.
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "kill -{signal} {} 2>&1 || kill -0 {}",
                numbers.join(" "),
                numbers[0]
            ))
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "send {signal} to {}", self.name);
        Ok(())
    }

    /// Kills it and its children at once (SIGKILL).
    pub(super) fn kill(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            self.signal("KILL")?;
        }
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it listens.
    pub(super) async fn listens(&mut self, address: SocketAddr) -> Result<()> {
        let listening = eventually(STARTING, "the server listens", || async {
            tokio::net::TcpStream::connect(address).await?;
            Ok(Some(()))
        });
        listening.await.with_context(|| {
            format!(
                "{}: {}",
                self.name,
                tail(&fs::read_to_string(&self.log).unwrap_or_default(), 20)
            )
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A stopped process dies of SIGKILL too.
        let _ = self.kill();
    }
}
