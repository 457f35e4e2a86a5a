//! The servers under test, each a process of its own with its own folder and ports.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Bench, http, machine, pause,
    target::{Rtmp, Target},
};

const START: Duration = Duration::from_secs(15);
const STOP: Duration = Duration::from_secs(5);
/// The owner's e-mail address and password.
pub(super) const OWNER: (&str, &str) = ("owner@example.org", "the password of the owner");
/// The first stream's key.
const KEY: &str = "benchbenchbenchbenchbench";
/// The streams of the publishers' measurement are named so.
const STREAM: &str = "live";

/// A running server; ends when dropped.
pub(super) struct Server {
    process: Child,
    folder: PathBuf,
    kind: Kind,
    /// Playback; the peer's files.
    pub(super) http: u16,
    rtmp: u16,
    /// The API; 0 for the peer.
    pub(super) pages: u16,
    /// Metrics; 0 for the peer.
    pub(super) ops: u16,
}

/// Configuration keys of the engines, and who names one to measure on.
const ENGINES: [(&str, &str); 3] = [
    ("DATABASE__URL", "STREAMR_TEST_POSTGRES"),
    ("CACHE__URL", "STREAMR_TEST_REDIS"),
    ("BUS__URL", "STREAMR_TEST_RABBITMQ"),
];

enum Kind {
    Ours { binary: PathBuf },
    Peer,
}

impl Server {
    /// This server, with one stream.
    pub(super) fn ours(bench: &Bench) -> Result<Self> {
        let binary = &bench.binary;
        let folder = folder()?;
        let [http, rtmp, pages, ops, a, b, c, d] = free_ports()?;
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut command = ours(binary, &folder);
        for (key, value) in [
            ("BOOTSTRAP__STREAM", STREAM.to_owned()),
            ("BOOTSTRAP__STREAM_KEY", KEY.to_owned()),
            ("BOOTSTRAP__EMAIL", OWNER.0.to_owned()),
            ("BOOTSTRAP__PASSWORD", OWNER.1.to_owned()),
            // All callers come from one address, and are one user.
            ("COORDINATOR__REQUESTS_PER_MINUTE", "10000000".to_owned()),
            (
                "COORDINATOR__USER_REQUESTS_PER_MINUTE",
                "10000000".to_owned(),
            ),
            ("COORDINATOR__OPS_BIND", local(ops)),
            ("COORDINATOR__BIND", local(pages)),
            ("COORDINATOR__GRPC_BIND", local(a)),
            ("COORDINATOR__STUN_BIND", "127.0.0.1:0".to_owned()),
            ("COORDINATOR__ADDRESS", format!("http://{}", local(a))),
            ("INGEST__BIND", local(rtmp)),
            ("INGEST__TLS_BIND", local(d)),
            ("INGEST__GRPC_BIND", local(b)),
            ("PACKAGER__BIND", local(http)),
            ("PACKAGER__GRPC_BIND", local(c)),
            // All viewers come from one address; a stream whose publisher left is still served.
            ("INGEST__MAX_CONNECTIONS_PER_ADDRESS", "10000".to_owned()),
            ("PACKAGER__MAX_CONNECTIONS_PER_ADDRESS", "10000".to_owned()),
            ("INGEST__GRACE", "600s".to_owned()),
        ] {
            command.env(format!("STREAMR__{key}"), value);
        }
        if bench.engines {
            for (key, variable) in ENGINES {
                let url = std::env::var(variable)
                    .with_context(|| format!("{variable} names no server to measure on"))?;
                command.env(format!("STREAMR__{key}"), url);
            }
        }
        let kind = Kind::Ours {
            binary: binary.clone(),
        };
        let mut server = Self::spawn(command, folder, kind, [http, rtmp])?;
        (server.pages, server.ops) = (pages, ops);
        server.wait(|| http::get(pages, "/health/ready").map(drop))
    }

    /// nginx with its RTMP module, one worker.
    pub(super) fn peer() -> Result<Self> {
        let folder = folder()?;
        let [http, rtmp] = free_ports()?;
        fs::create_dir(folder.join("www"))?;
        let config = folder.join("nginx.conf");
        let user = if running_as_root() { "user root;" } else { "" };
        fs::write(&config, peer_config(&folder, user, http, rtmp))?;
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(&config).arg("-p").arg(&folder);
        command.arg("-e").arg(folder.join("error.log"));
        let server = Self::spawn(command, folder, Kind::Peer, [http, rtmp])?;
        server.wait(|| http::connect(rtmp).map(drop))
    }

    fn spawn(
        mut command: Command,
        folder: PathBuf,
        kind: Kind,
        [http, rtmp]: [u16; 2],
    ) -> Result<Self> {
        let log = File::create(folder.join("log"))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self {
            process,
            folder,
            kind,
            http,
            rtmp,
            pages: 0,
            ops: 0,
        })
    }

    fn wait(mut self, is_up: impl Fn() -> Result<()>) -> Result<Self> {
        let start = Instant::now();
        while let Err(error) = is_up() {
            if self.process.try_wait()?.is_some() || start.elapsed() > START {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("a server did not start: {error:#}\n{log}");
            }
            pause(Duration::from_millis(50));
        }
        Ok(self)
    }

    /// The processes that do the work.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        let process = self.process.id();
        match self.kind {
            Kind::Ours { .. } => Ok(vec![process]),
            Kind::Peer => machine::children(process),
        }
    }

    /// Where to publish the first stream.
    pub(super) fn publish(&self) -> Rtmp {
        match self.kind {
            Kind::Ours { .. } => self.stream("live", KEY),
            Kind::Peer => self.stream("live", STREAM),
        }
    }

    /// Where to play the first stream by RTMP.
    pub(super) fn play(&self) -> Target {
        Target::Rtmp(self.stream("live", STREAM))
    }

    /// Where to play the first stream by HTTP-FLV.
    pub(super) fn http_flv(&self) -> Target {
        Target::HttpFlv {
            port: self.http,
            path: format!("/live/{STREAM}.flv"),
        }
    }

    /// Makes another stream, with HLS on; where to publish it.
    pub(super) fn add_stream(&self, name: &str) -> Result<Rtmp> {
        let Kind::Ours { binary } = &self.kind else {
            return Ok(self.stream("hls", name));
        };
        let output = ours(binary, &self.folder)
            .args(["stream", "add", name])
            .output()
            .context("run streamr stream add")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().last() {
            Some(key) if output.status.success() => Ok(self.stream("live", key.trim())),
            _ => bail!(
                "streamr stream add: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        }
    }

    /// Puts a file where the peer serves it.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        fs::write(self.folder.join("www").join(name), bytes).context("write a file to serve")
    }

    fn stream(&self, app: &'static str, stream: &str) -> Rtmp {
        Rtmp {
            port: self.rtmp,
            app,
            stream: stream.to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        machine::terminate(self.process.id());
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if start.elapsed() > STOP {
                // nginx's workers would outlive it.
                for worker in machine::children(self.process.id()).unwrap_or_default() {
                    machine::terminate(worker);
                }
                let _ = self.process.kill();
                let _ = self.process.wait();
                break;
            }
            pause(Duration::from_millis(20));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Our binary, with no setting of whoever runs the bench.
fn ours(binary: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("STREAMR__") {
            command.env_remove(key);
        }
    }
    command.env("STREAMR__DATA_DIR", folder.join("data"));
    command
}

fn peer_config(folder: &Path, user: &str, http: u16, rtmp: u16) -> String {
    let folder = folder.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{http}; root {folder}/www; }}
}}
rtmp {{
  access_log off;
  server {{
    listen 127.0.0.1:{rtmp};
    ping 30m;
    application live {{ live on; }}
    application hls {{ live on; hls on; hls_path {folder}/hls; hls_fragment 2s; }}
  }}
}}
"
    )
}

fn running_as_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn folder() -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("streamr-bench-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // Held until all are known, so that they differ.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
