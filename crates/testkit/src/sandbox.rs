//! A whole Streamr on free ports: one process, or one per service.

mod addresses;

use std::{
    collections::BTreeMap,
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::{
    Account,
    certificate::Certificate,
    eventually, http,
    ports::free_address,
    process::{Limits, Process, tail},
};

/// A server that is not ready by then won't be. Test machines are slow and shared.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Lines of each log shown when a test fails.
const LOG_TAIL: usize = 60;

/// Which processes a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `streamr` alone.
    Embedded,
    /// `coordinator`, `ingest` and `packager`.
    Distributed,
    /// `coordinator`, `ingest`, `origin-1`, `origin-2` and `edge`.
    TwoOrigins,
}

/// The owner's e-mail address and password.
pub const OWNER: (&str, &str) = ("owner@example.org", "the password of the owner");

/// A stream with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name in URLs.
    pub slug: String,
    /// Its stream key.
    pub key: String,
}

/// A stream as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamView {
    /// `ready`, `live` or `offline`.
    pub state: String,
    /// Its publisher is gone and may return.
    pub reconnecting: bool,
    /// How many watch.
    pub viewers: u32,
    /// What the publisher sends.
    pub health: Option<serde_json::Value>,
}

/// What a sandbox will be.
#[derive(Debug, Clone)]
pub struct Builder {
    layout: Layout,
    environment: BTreeMap<String, String>,
    unset: Vec<String>,
    limits: Limits,
    tls: bool,
    pages: Option<SocketAddr>,
}

impl Builder {
    /// Sets a configuration key, written as in the environment without its prefix: `INGEST__GRACE`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.environment
            .insert(format!("STREAMR__{key}"), value.to_owned());
        self
    }

    /// Has the pages and the API at this address.
    #[must_use]
    pub fn pages_at(mut self, address: SocketAddr) -> Self {
        self.pages = Some(address);
        self
    }

    /// Leaves a configuration key at its default.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        self.unset.push(format!("STREAMR__{key}"));
        self
    }

    /// Serves RTMPS and HTTPS with a self-signed certificate.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Bounds the file descriptors of each process.
    #[must_use]
    pub fn descriptors(mut self, descriptors: u32) -> Self {
        self.limits.descriptors = Some(descriptors);
        self
    }

    /// Starts everything and waits until all of it is ready.
    pub async fn start(self) -> Result<Sandbox> {
        let sandbox = Sandbox::new(self)?;
        for name in sandbox.names() {
            sandbox.launch(name).await?;
        }
        for name in sandbox.names() {
            sandbox.ready(name).await?;
        }
        Ok(sandbox)
    }
}

#[derive(Debug, Clone, Copy)]
struct Packager {
    bind: SocketAddr,
    grpc: SocketAddr,
    ops: SocketAddr,
}

/// Running processes and where they listen. All die when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    layout: Layout,
    /// Before the folder: processes end before what they write to is removed.
    processes: Mutex<BTreeMap<&'static str, Process>>,
    folder: TempDir,
    environment: BTreeMap<String, String>,
    limits: Limits,
    client: Client,
    certificate: Option<Certificate>,
    coordinator: SocketAddr,
    coordinator_ops: SocketAddr,
    ingest: SocketAddr,
    ingest_tls: SocketAddr,
    ingest_ops: SocketAddr,
    packagers: Vec<Packager>,
    internal: Vec<SocketAddr>,
}

impl Sandbox {
    /// All services in one process.
    pub fn embedded() -> Builder {
        Self::builder(Layout::Embedded)
    }

    /// Each service a process, with a service token.
    pub fn distributed() -> Builder {
        Self::builder(Layout::Distributed)
    }

    /// Distributed, with two origins behind an edge.
    pub fn two_origins() -> Builder {
        Self::builder(Layout::TwoOrigins)
    }

    /// Any layout.
    pub fn builder(layout: Layout) -> Builder {
        Builder {
            layout,
            environment: BTreeMap::new(),
            unset: Vec::new(),
            limits: Limits::default(),
            tls: false,
            pages: None,
        }
    }

    fn new(builder: Builder) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("streamr-").tempdir()?;
        let packagers: Vec<Packager> = (0..3)
            .map(|_| Packager {
                bind: free_address(),
                grpc: free_address(),
                ops: free_address(),
            })
            .collect();
        let coordinator = builder.pages.unwrap_or_else(free_address);
        let (grpc, coordinator_ops) = (free_address(), free_address());
        let (ingest, ingest_tls) = (free_address(), free_address());
        let (ingest_grpc, ingest_ops) = (free_address(), free_address());
        let mut environment = BTreeMap::new();
        let mut set =
            |key: &str, value: String| environment.insert(format!("STREAMR__{key}"), value);
        set("DATA_DIR", folder.path().join("data").display().to_string());
        set("LOG__LEVEL", "info".to_owned());
        set("LOG__FORMAT", "text".to_owned());
        set("COORDINATOR__BIND", coordinator.to_string());
        set("COORDINATOR__GRPC_BIND", grpc.to_string());
        set("COORDINATOR__ADDRESS", format!("http://{grpc}"));
        set("COORDINATOR__OPS_BIND", coordinator_ops.to_string());
        set("INGEST__BIND", ingest.to_string());
        set("INGEST__TLS_BIND", ingest_tls.to_string());
        set("INGEST__GRPC_BIND", ingest_grpc.to_string());
        set("INGEST__OPS_BIND", ingest_ops.to_string());
        set("PACKAGER__BIND", packagers[0].bind.to_string());
        set("PACKAGER__GRPC_BIND", packagers[0].grpc.to_string());
        set("PACKAGER__OPS_BIND", packagers[0].ops.to_string());
        let first = Self::first_stream();
        set("BOOTSTRAP__STREAM", first.slug);
        set("BOOTSTRAP__STREAM_KEY", first.key);
        set("BOOTSTRAP__EMAIL", OWNER.0.to_owned());
        set("BOOTSTRAP__PASSWORD", OWNER.1.to_owned());
        // All tests come from one address.
        for limit in ["", "USER_", "AUTH_"] {
            set(
                &format!("COORDINATOR__{limit}REQUESTS_PER_MINUTE"),
                "1000000".to_owned(),
            );
        }
        if builder.layout != Layout::Embedded {
            set(
                "SERVICE_TOKEN",
                "a-token-shared-by-the-services-of-a-test".to_owned(),
            );
        }
        let certificate = builder
            .tls
            .then(|| Certificate::make(folder.path()))
            .transpose()?;
        if let Some(certificate) = &certificate {
            set(
                "TLS__CERTIFICATE",
                certificate.certificate.display().to_string(),
            );
            set("TLS__KEY", certificate.key.display().to_string());
        }
        environment.extend(builder.environment);
        for key in &builder.unset {
            environment.remove(key);
        }
        let mut internal = vec![grpc, ingest_grpc, packagers[0].grpc];
        if builder.layout != Layout::Embedded {
            internal.extend([coordinator_ops, ingest_ops, packagers[0].ops]);
        }
        Ok(Self {
            layout: builder.layout,
            processes: Mutex::default(),
            folder,
            environment,
            limits: builder.limits,
            client: http::unpooled_client()?,
            certificate,
            coordinator,
            coordinator_ops,
            ingest,
            ingest_tls,
            ingest_ops,
            packagers,
            internal,
        })
    }

    /// Its processes' names.
    pub fn names(&self) -> &'static [&'static str] {
        match self.layout {
            Layout::Embedded => &["streamr"],
            Layout::Distributed => &["coordinator", "ingest", "packager"],
            Layout::TwoOrigins => &["coordinator", "ingest", "origin-1", "origin-2", "edge"],
        }
    }

    /// Starts the process `name`, which does not run.
    pub async fn launch(&self, name: &'static str) -> Result<()> {
        let mut environment = self.environment.clone();
        let program = match name {
            "origin-1" => self.packager(&mut environment, "origin", 1),
            "origin-2" => self.packager(&mut environment, "origin", 2),
            "edge" => self.packager(&mut environment, "edge", 0),
            "streamr" => "streamr",
            "coordinator" => "streamr-coordinator",
            "ingest" => "streamr-ingest",
            "packager" => "streamr-packager",
            other => bail!("no process is called {other}"),
        };
        let program = binary(program)?;
        let process = Process::start(
            name,
            &program,
            self.folder.path(),
            &environment,
            self.limits,
        )?;
        self.processes.lock().await.insert(name, process);
        Ok(())
    }

    fn packager(
        &self,
        environment: &mut BTreeMap<String, String>,
        role: &str,
        index: usize,
    ) -> &'static str {
        let at = self.packagers[index];
        for (key, value) in [
            ("ROLES", role.to_owned()),
            ("BIND", at.bind.to_string()),
            ("GRPC_BIND", at.grpc.to_string()),
            ("OPS_BIND", at.ops.to_string()),
        ] {
            environment.insert(format!("STREAMR__PACKAGER__{key}"), value);
        }
        "streamr-packager"
    }

    /// Waits until the process `name` says that it is ready.
    pub async fn ready(&self, name: &'static str) -> Result<()> {
        let url = format!("{}/health/ready", self.health(name));
        let https = self.certificate.is_some() && self.layout == Layout::Embedded;
        let waits_for_certificate = self.environment.contains_key("STREAMR__TLS__ACME__DOMAINS");
        let url = if waits_for_certificate && self.layout == Layout::Embedded {
            format!("http://{}/health/ready", self.coordinator_ops)
        } else {
            url
        };
        let what = format!("{name} is ready");
        let waiting = eventually(READY_WITHIN, &what, || async {
            if let Some(process) = self.processes.lock().await.get_mut(name)
                && let Some(epitaph) = process.epitaph()
            {
                // Waiting on would not help: make it the outcome.
                return Ok(Some(Err(anyhow::anyhow!(epitaph))));
            }
            if https {
                return Ok(self.ready_by_tls().await?.then_some(Ok(())));
            }
            let answer = http::get(&self.client, &url).await?;
            ensure!(
                answer.status.is_success(),
                "{url}: {} {}",
                answer.status,
                answer.text()
            );
            Ok(Some(Ok(())))
        });
        let outcome = waiting.await;
        if outcome.is_err() {
            self.print_logs().await;
        }
        outcome?
    }

    async fn ready_by_tls(&self) -> Result<bool> {
        let certificate = self.certificate()?;
        let stream = certificate.connect(self.coordinator, &["http/1.1"]).await?;
        let head = b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let heard = http::say_on(stream, head, Duration::from_secs(2)).await?;
        Ok(heard.starts_with(b"HTTP/1.1 200"))
    }

    /// Where a process's health and metrics are.
    pub fn health(&self, name: &str) -> String {
        let address = match name {
            "coordinator" => self.coordinator_ops,
            "ingest" => self.ingest_ops,
            "packager" | "edge" => self.packagers[0].ops,
            "origin-1" => self.packagers[1].ops,
            "origin-2" => self.packagers[2].ops,
            _ => self.coordinator,
        };
        format!("http://{address}")
    }

    /// The data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Kills a process (SIGKILL).
    pub async fn kill(&self, name: &str) -> Result<()> {
        self.with(name, Process::kill).await
    }

    /// Sends a signal to a process, such as `STOP`, `CONT` or `TERM`.
    pub async fn signal(&self, name: &str, signal: &str) -> Result<()> {
        self.with(name, |process| process.signal(signal)).await
    }

    /// Does something with a process.
    pub async fn with<T>(
        &self,
        name: &str,
        action: impl FnOnce(&mut Process) -> Result<T>,
    ) -> Result<T> {
        let mut processes = self.processes.lock().await;
        let process = processes
            .get_mut(name)
            .with_context(|| format!("no process {name}"))?;
        action(process)
    }

    /// Fails, with the last words, if a process ended.
    pub async fn all_run(&self) -> Result<()> {
        for process in self.processes.lock().await.values_mut() {
            if let Some(epitaph) = process.epitaph() {
                bail!(epitaph);
            }
        }
        Ok(())
    }

    /// Shows the end of every log, for a test that failed.
    #[expect(
        clippy::print_stderr,
        reason = "the test harness shows it beside the failure"
    )]
    pub async fn print_logs(&self) {
        for (name, process) in self.processes.lock().await.iter() {
            eprintln!("--- {name}\n{}", tail(&process.log(), LOG_TAIL));
        }
    }

    /// Everything a process wrote.
    pub async fn log(&self, name: &str) -> Result<String> {
        self.with(name, |process| Ok(process.log())).await
    }

    /// The stream that is there from the start.
    pub fn first_stream() -> Stream {
        Stream {
            slug: "live".to_owned(),
            key: "first-stream-key-of-a-test".to_owned(),
        }
    }

    /// Makes a stream with `streamr stream add`.
    pub async fn add_stream(&self, slug: &str) -> Result<Stream> {
        let key = self.key_of(&["stream", "add", slug]).await?;
        Ok(Stream {
            slug: slug.to_owned(),
            key,
        })
    }

    /// Makes a stream a new key with `streamr key`.
    pub async fn new_key(&self, slug: &str) -> Result<Stream> {
        let key = self.key_of(&["key", slug]).await?;
        Ok(Stream {
            slug: slug.to_owned(),
            key,
        })
    }

    async fn key_of(&self, arguments: &[&str]) -> Result<String> {
        let output = self.streamr(arguments).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "streamr {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        let word = last.and_then(|line| line.split_whitespace().last());
        let key = word.with_context(|| format!("streamr {arguments:?} printed no key"))?;
        Ok(key.to_owned())
    }

    /// The metrics of the coordinator, or of everything where it is one process.
    pub async fn metrics(&self) -> Result<String> {
        let url = format!("http://{}/metrics", self.coordinator_ops);
        Ok(http::fetch(&self.client, &url).await?.text())
    }

    /// The owner, logged in.
    pub async fn owner(&self) -> Result<Account> {
        Account::log_in(&self.pages(), OWNER.0, OWNER.1).await
    }

    /// A new account, logged in; registration must be open.
    pub async fn register(&self, name: &str) -> Result<Account> {
        let email = format!("{name}@example.org");
        let password = format!("the password of {name}");
        Account::register(&self.pages(), &email, &password).await?;
        Account::log_in(&self.pages(), &email, &password).await
    }

    /// Runs `streamr` with `arguments` in this sandbox's environment, to its end.
    pub async fn streamr(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = tokio::process::Command::new(binary("streamr")?);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .env("STREAMR__LOG__LEVEL", "warn")
            .current_dir(self.folder.path())
            .kill_on_drop(true);
        Ok(crate::within(Duration::from_mins(1), "streamr", command.output()).await??)
    }

    /// A stream as the API shows it now.
    pub async fn view(&self, slug: &str) -> Result<StreamView> {
        let url = format!("{}/api/v1/streams/{slug}", self.pages());
        let answer = http::fetch(&self.client, &url).await?;
        serde_json::from_slice(&answer.body).with_context(|| format!("{url}: {}", answer.text()))
    }

    /// Waits until the API shows a stream as `wanted` wants it.
    pub async fn view_until(
        &self,
        slug: &str,
        limit: Duration,
        wanted: impl Fn(&StreamView) -> bool,
    ) -> Result<StreamView> {
        eventually(
            limit,
            &format!("the API shows {slug} as expected"),
            || async {
                let view = self.view(slug).await?;
                ensure!(wanted(&view), "it is {view:?}");
                Ok(Some(view))
            },
        )
        .await
    }
}

/// Where a program of ours is: beside the tests, or in `STREAMR_TEST_BIN_DIR`.
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = if let Some(folder) = env::var_os("STREAMR_TEST_BIN_DIR") {
        PathBuf::from(folder)
    } else {
        let tests = env::current_exe()?;
        let profile = tests.parent().and_then(Path::parent);
        profile
            .context("the tests run outside a target folder")?
            .to_owned()
    };
    let path = folder.join(name);
    ensure!(
        path.is_file(),
        "{} is not there; build it with `cargo build --workspace --bins`, or set STREAMR_TEST_BIN_DIR",
        path.display()
    );
    Ok(path)
}
