//! A private PostgreSQL.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Engine, is_root};
use crate::free_address;

/// Who runs the server when we are root.
const USER: &str = "postgres";

/// A running PostgreSQL that keeps what it was given as well as on any disk: it is started again on the
/// same data.
#[derive(Debug)]
pub struct Postgres {
    engine: Engine,
    address: SocketAddr,
    programs: PathBuf,
    settings: Vec<String>,
    folder: TempDir,
}

/// The newest of Debian's versions.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .context("PostgreSQL is not installed; ./scripts/test installs it")?;
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .max()
        .context("no initdb under /usr/lib/postgresql")
}

fn user() -> Option<&'static str> {
    is_root().then_some(USER)
}

fn launch(
    programs: &Path,
    address: SocketAddr,
    settings: &[String],
    folder: &Path,
) -> Result<Engine> {
    // A process that was killed leaves this behind; its number may be another's by now.
    let _ = fs::remove_file(folder.join("data/postmaster.pid"));
    let mut arguments = vec!["-D".to_owned(), folder.join("data").display().to_string()];
    for setting in [
        format!("listen_addresses={}", address.ip()),
        format!("port={}", address.port()),
        format!("unix_socket_directories={}", folder.display()),
        "max_connections=300".to_owned(),
    ] {
        arguments.extend(["-c".to_owned(), setting]);
    }
    for setting in settings {
        arguments.extend(["-c".to_owned(), setting.clone()]);
    }
    let program = programs.join("postgres");
    Engine::start("postgres", &program, &arguments, user(), folder)
}

impl Postgres {
    /// Makes a cluster in a folder of its own and serves it on a free port.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// [`Self::start`] with settings, written `name=value`.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let (programs, address, folder) = (programs()?, free_address(), tempfile::tempdir()?);
        let mut initdb = match user() {
            Some(user) => {
                let status = Command::new("chown")
                    .arg(user)
                    .arg(folder.path())
                    .status()?;
                ensure!(status.success(), "give the folder to {user}");
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", user, "--regid", user, "--init-groups", "--"])
                    .arg(programs.join("initdb"));
                command
            }
            None => Command::new(programs.join("initdb")),
        };
        let output = initdb
            .args([
                "--username",
                "streamr",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--no-sync",
            ])
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()
            .context("run initdb")?;
        ensure!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut engine = launch(&programs, address, &settings, folder.path())?;
        engine.listens(address).await?;
        Ok(Self {
            engine,
            address,
            programs,
            settings,
            folder,
        })
    }

    /// For `database.url`: a database that is there and empty.
    pub fn url(&self) -> String {
        format!("postgres://streamr@{}/postgres", self.address)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.engine.log()
    }

    /// Kills it with all its children at once (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.engine.kill()
    }

    /// Sends a signal by its name, such as `STOP` or `CONT`, to it and all its children.
    pub fn signal(&self, signal: &str) -> Result<()> {
        self.engine.signal(signal)
    }

    /// Starts it again on the same port and data; kills it first if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.engine = launch(
            &self.programs,
            self.address,
            &self.settings,
            self.folder.path(),
        )?;
        self.engine.listens(self.address).await
    }
}

/// Makes an empty database beside the one that `server` names. Answers its URL.
pub async fn add_database(server: &str, name: &str) -> Result<String> {
    let (place, _) = server
        .rsplit_once('/')
        .context("a PostgreSQL URL ends with a database")?;
    let output = tokio::process::Command::new(programs()?.join("createdb"))
        .args(["--maintenance-db", server, name])
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "createdb: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(format!("{place}/{name}"))
}
