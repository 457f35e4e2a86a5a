//! RabbitMQ from Debian's package: a node, or several that form a cluster.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    eventually,
    ports::free_address,
    process::{Limits, Process},
};

/// Debian keeps the programs here; those on the path start the system's own server.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";
/// A node of Erlang on a busy machine takes its time.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// What all nodes of a cluster share: the folder with their cookie, and the daemon they find each other by.
#[derive(Debug)]
struct Ground {
    _epmd: Process,
    epmd_port: u16,
    folder: TempDir,
    /// The server refuses to run as root.
    user: Option<u32>,
}

/// A running node. It dies when it is dropped.
#[derive(Debug)]
pub struct RabbitMq {
    /// Before the ground: it ends before the folder is removed.
    process: Process,
    name: String,
    address: SocketAddr,
    environment: BTreeMap<String, String>,
    folder: PathBuf,
    /// Whether no other node can lead its queues.
    alone: bool,
    ground: Arc<Ground>,
}

impl Ground {
    fn prepare() -> Result<Self> {
        let folder = TempDir::with_prefix("rabbitmq-")?;
        let epmd_port = free_address().port();
        let is_root = id_of("root").is_some_and(|root| root == own_id());
        let user = if is_root { id_of("rabbitmq") } else { None };
        if let Some(user) = user {
            chown(folder.path(), Some(user), None)?;
        }
        let port = epmd_port.to_string();
        let epmd = Process::start_with(
            "epmd",
            Path::new("/usr/bin/epmd"),
            &["-address", "127.0.0.1", "-port", &port].map(str::to_owned),
            folder.path(),
            &BTreeMap::new(),
            Limits::default(),
        )?;
        Ok(Self {
            _epmd: epmd,
            epmd_port,
            folder,
            user,
        })
    }

    fn start(
        &self,
        name: &str,
        folder: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Process> {
        let server = format!("{PROGRAMS}/rabbitmq-server");
        let Some(user) = self.user else {
            return Process::start(
                name,
                server.as_ref(),
                folder,
                environment,
                Limits::default(),
            );
        };
        // The change of the user makes the kernel forget whose death ends the process.
        let arguments = [
            format!("--reuid={user}"),
            "--regid=rabbitmq".to_owned(),
            "--init-groups".to_owned(),
            "--pdeathsig=KILL".to_owned(),
            "--".to_owned(),
            server,
        ];
        let setpriv = Path::new("/usr/bin/setpriv");
        Process::start_with(
            name,
            setpriv,
            &arguments,
            folder,
            environment,
            Limits::default(),
        )
    }
}

impl RabbitMq {
    /// Starts a node.
    pub async fn start() -> Result<Self> {
        let node = Self::node(Arc::new(Ground::prepare()?), None)?;
        node.ready().await?;
        Ok(node)
    }

    /// Starts `nodes` that form a cluster.
    pub async fn cluster(nodes: usize) -> Result<Vec<Self>> {
        let ground = Arc::new(Ground::prepare()?);
        let mut first = Self::node(Arc::clone(&ground), None)?;
        first.ready().await?;
        let seed = first.name.clone();
        first.alone = nodes == 1;
        let mut cluster = vec![first];
        for _ in 1..nodes {
            let node = Self::node(Arc::clone(&ground), Some(&seed))?;
            node.ready().await?;
            cluster.push(node);
        }
        Ok(cluster)
    }

    fn node(ground: Arc<Ground>, seed: Option<&str>) -> Result<Self> {
        let address = free_address();
        let name = format!("n{}@localhost", address.port());
        let folder = ground.folder.path().join(&name);
        for part in ["mnesia", "log", "config"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let config = folder.join("rabbitmq.conf");
        let discovery = seed.map_or_else(String::new, |seed| {
            format!(
                "cluster_formation.peer_discovery_backend = classic_config\n\
                 cluster_formation.classic_config.nodes.1 = {seed}\n\
                 cluster_formation.classic_config.nodes.2 = {name}\n"
            )
        });
        fs::write(&config, format!("log.console = true\n{discovery}"))?;
        let plugins = folder.join("plugins");
        fs::write(&plugins, "[].\n")?;
        if let Some(user) = ground.user {
            for part in ["", "mnesia", "log", "config", "rabbitmq.conf", "plugins"] {
                chown(folder.join(part), Some(user), None)?;
            }
        }
        let shown = |path: &Path| path.display().to_string();
        let home = shown(ground.folder.path());
        let environment = [
            ("HOME", home),
            ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
            ("ERL_EPMD_PORT", ground.epmd_port.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODENAME", name.clone()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", address.port().to_string()),
            ("RABBITMQ_DIST_PORT", free_address().port().to_string()),
            ("RABBITMQ_MNESIA_BASE", shown(&folder.join("mnesia"))),
            ("RABBITMQ_LOG_BASE", shown(&folder.join("log"))),
            (
                "RABBITMQ_GENERATED_CONFIG_DIR",
                shown(&folder.join("config")),
            ),
            ("RABBITMQ_CONFIG_FILE", shown(&config)),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", shown(&plugins)),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        let environment = BTreeMap::from(environment);
        Ok(Self {
            process: ground.start("rabbitmq", &folder, &environment)?,
            name,
            address,
            environment,
            folder,
            alone: seed.is_none(),
            ground,
        })
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address)
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Makes it stand still (SIGSTOP).
    pub fn stop(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// Lets it go on (SIGCONT).
    pub fn cont(&self) -> Result<()> {
        self.process.signal("CONT")
    }

    /// Starts it again with what it kept, and waits until it answers.
    pub async fn restart(&mut self) -> Result<()> {
        if self.process.is_running() {
            self.kill()?;
        }
        self.process = self
            .ground
            .start("rabbitmq", &self.folder, &self.environment)?;
        self.ready().await?;
        if self.alone {
            self.elect()?;
        }
        Ok(())
    }

    /// A single node of 3.10 that was killed may wait for a leader of its own queues forever
    /// (rabbitmq-server issue 10070); a cluster's other nodes don't let it.
    fn elect(&self) -> Result<()> {
        let elect = "[ra:trigger_election(Name) || {Name, follower} <- ets:tab2list(ra_state)].";
        self.control(&["eval", elect]).map(drop)
    }

    /// The node that leads a quorum queue.
    pub fn leader(&self, queue: &str) -> Result<String> {
        let listed = self.control(&[
            "list_queues",
            "--quiet",
            "--no-table-headers",
            "name",
            "leader",
        ])?;
        let line = listed
            .lines()
            .find_map(|line| line.split_once('\t').filter(|(name, _)| *name == queue));
        let (_, leader) = line.with_context(|| format!("no queue {queue} in:\n{listed}"))?;
        Ok(leader.trim().to_owned())
    }

    /// Runs `rabbitmqctl` on it.
    pub fn control(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(format!("{PROGRAMS}/rabbitmqctl"))
            .args(["--node", &self.name])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .envs(&self.environment)
            .output()
            .context("run rabbitmqctl")?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "rabbitmqctl {arguments:?}: {told}{complaint}"
        );
        Ok(told)
    }

    async fn ready(&self) -> Result<()> {
        eventually(READY_WITHIN, "RabbitMQ answers", || async {
            // It answers a client's first words once it can be used.
            let mut socket = TcpStream::connect(self.address).await?;
            socket.write_all(b"AMQP\x00\x00\x09\x01").await?;
            let mut first = [0; 1];
            let read = tokio::time::timeout(Duration::from_secs(2), socket.read(&mut first));
            Ok((read.await?? == 1 && first == [1]).then_some(()))
        })
        .await
        .with_context(|| crate::process::tail(&self.process.log(), 20))
    }
}

fn id_of(user: &str) -> Option<u32> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(user);
        found.then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

fn own_id() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").map_or(u32::MAX, |entry| entry.uid())
}
