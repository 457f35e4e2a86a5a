//! A whole Streamr on free ports: one process, or one per service.

mod addresses;
mod engines;
mod members;
mod streams;

use std::{
    collections::BTreeMap,
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::{
    Account,
    balancer::Balancer,
    certificate::Certificate,
    eventually, http,
    process::{Limits, Process, tail},
};
pub use engines::Engines;
use members::{Listens, Member};
pub use streams::{Stream, StreamView};

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
    /// Two of each and a stats-collector, on PostgreSQL, Redis and RabbitMQ, behind balancers.
    Cluster,
}

/// The owner's e-mail address and password.
pub const OWNER: (&str, &str) = ("owner@example.org", "the password of the owner");

/// What a sandbox will be.
#[derive(Debug, Clone)]
pub struct Builder {
    layout: Layout,
    environment: BTreeMap<String, String>,
    unset: Vec<String>,
    limits: Limits,
    tls: bool,
    pages: Option<SocketAddr>,
    host: IpAddr,
    own_engines: bool,
}

impl Builder {
    /// Serves the world at this address of the machine instead of loopback.
    #[must_use]
    pub fn at(mut self, host: IpAddr) -> Self {
        self.host = host;
        self
    }

    /// Gives a cluster engines of its own, to be killed and stopped.
    #[must_use]
    pub fn own_engines(mut self) -> Self {
        self.own_engines = true;
        self
    }

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
        let sandbox = Sandbox::new(self).await?;
        for name in sandbox.names() {
            sandbox.launch(name).await?;
        }
        for name in sandbox.names() {
            sandbox.ready(name).await?;
        }
        Ok(sandbox)
    }
}

/// Running processes and where they listen. All die when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    layout: Layout,
    /// Before the folder: processes end before what they write to is removed.
    processes: Mutex<BTreeMap<&'static str, Process>>,
    /// After the processes that use them.
    engines: Option<Engines>,
    _balancers: Vec<Balancer>,
    folder: TempDir,
    environment: BTreeMap<String, String>,
    /// What the test sets, and leaves at its default.
    own: (BTreeMap<String, String>, Vec<String>),
    limits: Limits,
    client: Client,
    certificate: Option<Certificate>,
    members: Vec<Member>,
    names: Vec<&'static str>,
    listens: Listens,
}

impl Sandbox {
    /// All services in one process, whatever layout the tests run on: for what is about that process.
    pub fn one_process() -> Builder {
        Self::builder(Layout::Embedded)
    }

    /// Each service a process of its own, whatever layout the tests run on.
    pub fn three_processes() -> Builder {
        Self::builder(Layout::Distributed)
    }

    /// All services in one process.
    pub fn embedded() -> Builder {
        Self::builder(in_cluster(Layout::Embedded))
    }

    /// Each service a process, with a service token.
    pub fn distributed() -> Builder {
        Self::builder(in_cluster(Layout::Distributed))
    }

    /// Distributed, with two origins behind an edge.
    pub fn two_origins() -> Builder {
        Self::builder(in_cluster(Layout::TwoOrigins))
    }

    /// Two of each service and a stats-collector, on PostgreSQL, Redis and RabbitMQ, behind balancers.
    pub fn cluster() -> Builder {
        Self::builder(Layout::Cluster)
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
            host: Ipv4Addr::LOCALHOST.into(),
            own_engines: false,
        }
    }

    async fn new(builder: Builder) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("streamr-").tempdir()?;
        let layout = builder.layout;
        let (listens, members) = members::of(layout, builder.pages, builder.host);
        let mut environment = BTreeMap::new();
        let mut set =
            |key: &str, value: String| environment.insert(format!("STREAMR__{key}"), value);
        set("DATA_DIR", folder.path().join("data").display().to_string());
        set("LOG__LEVEL", "info".to_owned());
        set("LOG__FORMAT", "text".to_owned());
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
        if layout != Layout::Embedded {
            set(
                "SERVICE_TOKEN",
                "a-token-shared-by-the-services-of-a-test".to_owned(),
            );
        }
        for (key, value) in members::common(layout, &listens) {
            set(key, value);
        }
        let engines = match layout {
            Layout::Cluster => Some(Engines::get(builder.own_engines).await?),
            _ => None,
        };
        for (key, value) in engines.iter().flat_map(Engines::settings) {
            set(key, value);
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
        Ok(Self {
            layout,
            processes: Mutex::default(),
            engines,
            _balancers: members::balancers(layout, &listens, &members).await?,
            folder,
            environment,
            own: (builder.environment, builder.unset),
            limits: builder.limits,
            client: http::unpooled_client()?,
            certificate,
            names: members.iter().map(|member| member.name).collect(),
            members,
            listens,
        })
    }

    /// Its processes' names.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The engines of a cluster.
    pub fn engines(&self) -> Result<&Engines> {
        self.engines
            .as_ref()
            .context("a sandbox on embedded defaults")
    }

    /// The processes that a name means: itself, or all of a kind.
    fn meant(&self, name: &str) -> Result<Vec<&Member>> {
        let found: Vec<_> = self
            .members
            .iter()
            .filter(|member| member.is(name))
            .collect();
        ensure!(!found.is_empty(), "no process is called {name}");
        Ok(found)
    }

    /// Starts the process `name`, which does not run; or all of that kind.
    pub async fn launch(&self, name: &str) -> Result<()> {
        for member in self.meant(name)? {
            let environment = self.environment_of(member);
            let process = Process::start(
                member.name,
                &binary(member.program)?,
                self.folder.path(),
                &environment,
                self.limits.clone(),
            )?;
            self.processes.lock().await.insert(member.name, process);
        }
        Ok(())
    }

    /// Waits until the process `name` says that it is ready; or all of that kind.
    pub async fn ready(&self, name: &str) -> Result<()> {
        for member in self.meant(name)? {
            self.one_ready(member).await?;
        }
        Ok(())
    }

    async fn one_ready(&self, member: &Member) -> Result<()> {
        let name = member.name;
        let https = self.certificate.is_some() && self.layout == Layout::Embedded;
        let waits_for_certificate = self.own.0.contains_key("STREAMR__TLS__ACME__DOMAINS");
        let url = if waits_for_certificate && self.layout == Layout::Embedded {
            format!("http://{}/health/ready", self.listens.coordinator_ops)
        } else {
            format!("http://{}/health/ready", member.health)
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
        let stream = certificate
            .connect(self.listens.pages, &["http/1.1"])
            .await?;
        let head = b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let heard = http::say_on(stream, head, Duration::from_secs(2)).await?;
        Ok(heard.starts_with(b"HTTP/1.1 200"))
    }

    /// Where a process's health and metrics are; of the first of a kind.
    pub fn health(&self, name: &str) -> String {
        let member = self.members.iter().find(|member| member.is(name));
        let address = member.map_or(self.listens.coordinator_ops, |member| member.health);
        format!("http://{address}")
    }

    /// The data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Kills a process (SIGKILL), or all of that kind.
    pub async fn kill(&self, name: &str) -> Result<()> {
        for member in self.meant(name)? {
            self.with(member.name, Process::kill).await?;
        }
        Ok(())
    }

    /// Sends a signal to a process, such as `STOP`, `CONT` or `TERM`; or to all of that kind.
    pub async fn signal(&self, name: &str, signal: &str) -> Result<()> {
        for member in self.meant(name)? {
            self.with(member.name, |process| process.signal(signal))
                .await?;
        }
        Ok(())
    }

    /// Does something with a process; with the first of a kind.
    pub async fn with<T>(
        &self,
        name: &str,
        action: impl FnOnce(&mut Process) -> Result<T>,
    ) -> Result<T> {
        let first = self.meant(name)?.first().map(|member| member.name);
        let mut processes = self.processes.lock().await;
        let process = first
            .and_then(|first| processes.get_mut(first))
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

    /// Everything a process wrote, or all of that kind.
    pub async fn log(&self, name: &str) -> Result<String> {
        let mut text = String::new();
        for member in self.meant(name)? {
            text += &self.with(member.name, |process| Ok(process.log())).await?;
        }
        Ok(text)
    }

    /// The metrics of the coordinator, or of everything where it is one process; of several coordinators, one's
    /// after the other's.
    pub async fn metrics(&self) -> Result<String> {
        let mut text = String::new();
        let coordinators = self.members.iter().filter(|one| one.is("coordinator"));
        let mut at: Vec<_> = coordinators.map(|one| one.health).collect();
        if at.is_empty() {
            at.push(self.listens.coordinator_ops);
        }
        for address in at {
            let url = format!("http://{address}/metrics");
            text += &http::fetch(&self.client, &url).await?.text();
        }
        Ok(text)
    }

    /// The metrics of one process.
    pub async fn metrics_of(&self, name: &str) -> Result<String> {
        let url = format!("{}/metrics", self.health(name));
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
            .envs(self.environment_of_first())
            .env("STREAMR__LOG__LEVEL", "warn")
            .current_dir(self.folder.path())
            .kill_on_drop(true);
        Ok(crate::within(Duration::from_mins(1), "streamr", command.output()).await??)
    }

    /// What the test says itself stands above everything.
    fn told(&self, environment: &mut BTreeMap<String, String>) {
        let (set, unset) = &self.own;
        environment.extend(set.clone());
        for key in unset {
            environment.remove(key);
        }
    }

    /// What a process is told: what all are, what is its own, what the test says.
    fn environment_of(&self, member: &Member) -> BTreeMap<String, String> {
        let mut environment = self.environment.clone();
        for (key, value) in &member.settings {
            environment.insert(format!("STREAMR__{key}"), value.clone());
        }
        self.told(&mut environment);
        environment
    }

    fn environment_of_first(&self) -> BTreeMap<String, String> {
        let first = self.members.first();
        first.map_or_else(BTreeMap::new, |member| self.environment_of(member))
    }
}

/// With `STREAMR_TEST_LAYOUT=cluster` every sandbox is a cluster.
fn in_cluster(layout: Layout) -> Layout {
    match env::var("STREAMR_TEST_LAYOUT").as_deref() {
        Ok("cluster") => Layout::Cluster,
        _ => layout,
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
