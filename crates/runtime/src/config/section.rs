//! The configuration's sections, with their defaults.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};
use types::{ByteCount, Registration, Secret};

use super::{Addresses, Seconds, Size, TlsSection, value::words};

/// The whole configuration; each program reads its sections.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder that holds everything kept: database, keys.
    pub data_dir: PathBuf,
    /// Where the world finds the pages and the API; default: the request's host, port 8000.
    pub public_url: Option<String>,
    /// Shared by all services; needed once internal gRPC leaves loopback. Several are separated by commas:
    /// the first is sent, all are accepted.
    pub service_token: Option<Secret<String>>,
    /// The same in a file, a token on each line, read again when it changes: tokens are replaced without
    /// a restart.
    pub service_token_file: Option<PathBuf>,
    /// Seals what the database holds: 32 characters or more, the same for every replica; default: made and
    /// kept in the data folder.
    pub secret_key: Option<Secret<String>>,
    /// Where data is kept.
    pub database: Database,
    /// Which event bus.
    pub bus: Bus,
    /// Which cache.
    pub cache: Cache,
    /// Logs.
    pub log: LogSection,
    /// Traces.
    pub telemetry: TelemetrySection,
    /// Certificate of the public listeners.
    pub tls: TlsSection,
    /// The first stream.
    pub bootstrap: Bootstrap,
    /// Accounts.
    pub accounts: Accounts,
    /// How mail is sent.
    pub mail: Mail,
    /// What players are told.
    pub playback: Playback,
    /// The coordinator.
    pub coordinator: Coordinator,
    /// The ingest.
    pub ingest: Ingest,
    /// The packager.
    pub packager: Packager,
    /// The stats-collector.
    pub stats: Stats,
    /// What carrying saves.
    pub savings: Savings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            public_url: None,
            service_token: None,
            service_token_file: None,
            secret_key: None,
            database: Database::default(),
            bus: Bus::default(),
            cache: Cache::default(),
            log: LogSection::default(),
            telemetry: TelemetrySection::default(),
            tls: TlsSection::default(),
            bootstrap: Bootstrap::default(),
            accounts: Accounts::default(),
            mail: Mail::default(),
            playback: Playback::default(),
            coordinator: Coordinator::default(),
            ingest: Ingest::default(),
            packager: Packager::default(),
            stats: Stats::default(),
            savings: Savings::default(),
        }
    }
}

/// `database`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite:<file>` or `postgres://…`; default: `streamr.db` in the data folder.
    pub url: Option<Secret<String>>,
    /// Connections of one coordinator to PostgreSQL.
    pub max_connections: NonZeroU32,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            max_connections: NonZeroU32::MIN.saturating_add(15),
        }
    }
}

/// `bus`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bus {
    /// `local:`, `amqp://…` or `amqps://…`; of a cluster every node's, separated by commas.
    pub url: Secret<String>,
    /// Prefixes what is declared on the broker: installations that share one need names of their own.
    pub name: String,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            url: Secret::new("local:".to_owned()),
            name: "streamr".to_owned(),
        }
    }
}

/// `cache`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// `memory:`, or `redis://…` or `rediss://…`, which replicas share.
    pub url: Secret<String>,
    /// What every key in Redis starts with, so that several installations may share one.
    pub prefix: String,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            url: Secret::new("memory:".to_owned()),
            prefix: "streamr".to_owned(),
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

/// `log`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// A level, or `target=level` pairs, comma separated.
    pub level: String,
    /// `json` or `text`.
    pub format: LogFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Json,
        }
    }
}

/// `telemetry`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySection {
    /// Where traces go: an OTLP gRPC receiver, such as `http://127.0.0.1:4317`; default: nowhere.
    pub otlp_endpoint: Option<String>,
    /// The part of traces that is sent, from 0 to 1.
    pub sample_ratio: f64,
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sample_ratio: 1.0,
        }
    }
}

/// `bootstrap`: read only while the database holds no stream, or no account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bootstrap {
    /// Name of the first stream, as in its URLs; default `live`.
    pub stream: Option<String>,
    /// Its stream key: 22 to 128 URL-safe characters; default: one is made and printed.
    pub stream_key: Option<Secret<String>>,
    /// The owner's e-mail address; default: a one-time link to make the account is printed.
    pub email: Option<String>,
    /// The owner's password.
    pub password: Option<Secret<String>>,
}

/// `accounts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// Who may make an account: `open`, `invitation` or `closed`; an admin may change it later.
    pub registration: Registration,
    /// How long a key signs tokens before the next one does.
    pub key_rotation: Seconds,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            registration: Registration::Invitation,
            key_rotation: Seconds(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}

/// `mail`: without it, an admin hands out links.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// `smtp://user:password@host:587?tls=required`, `smtps://user:password@host` or `smtp://host:25`.
    pub url: Option<Secret<String>>,
    /// The sender, such as `Streamr <streamr@example.org>`.
    pub from: Option<String>,
}

/// `playback`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Playback {
    /// Where the world finds playback; default: the request's host, port of `packager.bind`.
    pub public_url: Option<String>,
}

/// `coordinator`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Coordinator {
    /// Public listener: pages, API.
    pub bind: SocketAddr,
    /// Internal gRPC listener.
    pub grpc_bind: SocketAddr,
    /// Where the other coordinators find this one; default: from `grpc_bind`.
    pub own_address: Option<String>,
    /// STUN responder, on UDP: tells nodes and pages under which address they are seen.
    pub stun_bind: SocketAddr,
    /// Where the other services find the coordinators: one, or several separated by commas.
    pub address: Addresses,
    /// Health and metrics, as a process of its own.
    pub ops_bind: SocketAddr,
    /// Connections on the public listener.
    pub max_connections: u32,
    /// The same from one address.
    pub max_connections_per_address: u32,
    /// API requests a minute from one address that isn't logged in.
    pub requests_per_minute: u32,
    /// API requests a minute from one user.
    pub user_requests_per_minute: u32,
    /// Requests a minute from one address to log in, register or reset a password: each costs a hash.
    pub auth_requests_per_minute: u32,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([0, 0, 0, 0], 8000)),
            grpc_bind: SocketAddr::from(([127, 0, 0, 1], 9000)),
            own_address: None,
            stun_bind: SocketAddr::from(([0, 0, 0, 0], 3478)),
            address: Addresses(vec!["http://127.0.0.1:9000".to_owned()]),
            ops_bind: SocketAddr::from(([127, 0, 0, 1], 9100)),
            max_connections: 20_000,
            max_connections_per_address: 512,
            requests_per_minute: 1_200,
            user_requests_per_minute: 12_000,
            auth_requests_per_minute: 60,
        }
    }
}

/// `ingest`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    /// RTMP listener.
    pub bind: SocketAddr,
    /// RTMPS listener, open when `tls` is set.
    pub tls_bind: SocketAddr,
    /// Internal gRPC listener.
    pub grpc_bind: SocketAddr,
    /// Where packagers find this ingest; default: from `grpc_bind`.
    pub address: Option<String>,
    /// Health and metrics, as a process of its own.
    pub ops_bind: SocketAddr,
    /// How long a stream waits for its publisher to return.
    pub grace: Seconds,
    /// RTMP connections, publishers and players together.
    pub max_connections: u32,
    /// The same from one address.
    pub max_connections_per_address: u32,
    /// A player's backlog in bytes before it skips to the next keyframe.
    pub queue_size: Size,
    /// How long samples are gathered before they are handed on, to packagers and to RTMP players: one
    /// message, and one write to each viewer, serves many samples.
    pub gather: Seconds,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([0, 0, 0, 0], 1935)),
            tls_bind: SocketAddr::from(([0, 0, 0, 0], 1936)),
            grpc_bind: SocketAddr::from(([127, 0, 0, 1], 9001)),
            address: None,
            ops_bind: SocketAddr::from(([127, 0, 0, 1], 9101)),
            grace: Seconds(Duration::from_secs(60)),
            max_connections: 10_000,
            max_connections_per_address: 256,
            queue_size: Size(ByteCount::mib(4)),
            gather: Seconds(Duration::from_millis(120)),
        }
    }
}

/// What a packager does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Cuts streams into segments.
    Origin,
    /// Serves viewers.
    Edge,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "origin" => Ok(Self::Origin),
            "edge" => Ok(Self::Edge),
            other => Err(format!(
                "{other:?} is no role; write \"origin\", \"edge\" or \"origin,edge\""
            )),
        }
    }
}

/// A set of roles, written `origin,edge`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// Whether `role` is among them.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = words(deserializer)?;
        if names.is_empty() {
            return Err(de::Error::custom(
                "a packager needs a role; write \"origin\", \"edge\" or \"origin,edge\"",
            ));
        }
        let roles: Result<Vec<Role>, _> = names.iter().map(|name| name.parse()).collect();
        roles.map(Self).map_err(de::Error::custom)
    }
}

/// `packager`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packager {
    /// `origin`, `edge`, or both.
    pub roles: Roles,
    /// Edge: public playback listener.
    pub bind: SocketAddr,
    /// Edge: where the world finds this one, beside the name that all share (`playback.public_url`); players
    /// that lose an edge go on at another that is named.
    pub public_url: Option<String>,
    /// Origin: internal gRPC listener.
    pub grpc_bind: SocketAddr,
    /// Where edges find this origin; default: from `grpc_bind`.
    pub address: Option<String>,
    /// Health and metrics, as a process of its own.
    pub ops_bind: SocketAddr,
    /// Connections of viewers.
    pub max_connections: u32,
    /// The same from one address.
    pub max_connections_per_address: u32,
    /// An HTTP-FLV viewer's backlog in bytes before it skips to the next keyframe.
    pub queue_size: Size,
    /// Edge: the program that makes thumbnails; `off` or nothing: none are made.
    pub ffmpeg: String,
    /// Edge: how many thumbnails are made at once.
    pub thumbnails_at_once: u32,
}

impl Default for Packager {
    fn default() -> Self {
        Self {
            roles: Roles(vec![Role::Origin, Role::Edge]),
            bind: SocketAddr::from(([0, 0, 0, 0], 8080)),
            public_url: None,
            grpc_bind: SocketAddr::from(([127, 0, 0, 1], 9002)),
            address: None,
            ops_bind: SocketAddr::from(([127, 0, 0, 1], 9102)),
            max_connections: 20_000,
            max_connections_per_address: 512,
            queue_size: Size(ByteCount::mib(4)),
            ffmpeg: "ffmpeg".to_owned(),
            thumbnails_at_once: 1,
        }
    }
}

/// `[stats]`: the stats-collector.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stats {
    /// Health and metrics, as a process of its own.
    pub ops_bind: SocketAddr,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            ops_bind: SocketAddr::from(([127, 0, 0, 1], 9104)),
        }
    }
}

/// `[savings]`: what a gigabyte from an edge costs whoever runs the server, for pages to say what friends saved.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Savings {
    /// ISO 4217, such as `USD`.
    pub currency: String,
    /// Millionths of the currency for 10^9 bytes.
    pub micros_per_gigabyte: u64,
}

impl Default for Savings {
    fn default() -> Self {
        Self {
            currency: "USD".to_owned(),
            // One cent: what edges in clouds cost at volume.
            micros_per_gigabyte: 10_000,
        }
    }
}
