//! What the coordinator needs of the configuration.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::Error;
use runtime::{Config, ServiceTokens, config::ConfigError, gate::Limits, tls};

/// The coordinator's settings, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Public listener.
    pub bind: SocketAddr,
    /// Internal gRPC listener.
    pub grpc_bind: SocketAddr,
    /// Where the other coordinators find this one.
    pub own_address: String,
    /// STUN responder, on UDP.
    pub stun_bind: SocketAddr,
    /// Its port, as the world finds it.
    pub stun_port: u16,
    /// What a gigabyte from an edge costs.
    pub savings: runtime::config::Savings,
    /// Where the operator puts the node's program for friends to download.
    pub downloads: PathBuf,
    /// Asked of internal callers.
    pub service_tokens: ServiceTokens,
    /// How long a stream outlives its publisher; an ingest that falls silent is given as long.
    pub grace: std::time::Duration,
    /// Which event bus.
    pub bus: runtime::config::Bus,
    /// This process.
    pub instance: types::InstanceId,
    /// Where the world finds the pages, if it was said.
    pub public_url: Option<String>,
    /// Where the world finds playback, if it was said.
    pub playback_url: Option<String>,
    /// The playback port, where the request's host serves it.
    pub playback_port: u16,
    /// The RTMP port.
    pub rtmp_port: u16,
    /// The RTMPS port.
    pub rtmps_port: u16,
    /// Who may make an account until an admin says otherwise.
    pub registration: types::Registration,
    /// How long a key signs tokens.
    pub key_rotation: std::time::Duration,
    /// How mail is sent.
    pub mail: runtime::config::Mail,
    /// Which cache.
    pub cache: runtime::config::Cache,
    /// API requests a minute from one address that isn't logged in.
    pub requests_per_minute: u32,
    /// API requests a minute from one user.
    pub user_requests_per_minute: u32,
    /// The same from one address, of those that cost a hash.
    pub auth_requests_per_minute: u32,
    /// Bounds on the public listener.
    pub limits: Limits,
    /// TLS of the public listener.
    pub tls: Option<Arc<tls::ServerConfig>>,
}

impl Settings {
    /// Takes them from the configuration.
    pub fn resolve(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            bind: config.coordinator.bind,
            grpc_bind: config.coordinator.grpc_bind,
            own_address: config
                .coordinator
                .own_address
                .clone()
                .unwrap_or_else(|| format!("http://{}", config.coordinator.grpc_bind)),
            stun_bind: config.coordinator.stun_bind,
            stun_port: config.coordinator.stun_bind.port(),
            savings: config.savings.clone(),
            downloads: config.data_dir.join("downloads"),
            service_tokens: ServiceTokens::open(config)?,
            grace: config.ingest.grace.0,
            bus: config.bus.clone(),
            instance: types::InstanceId::new(),
            public_url: config.public_url.clone(),
            playback_url: config.playback.public_url.clone(),
            playback_port: config.packager.bind.port(),
            rtmp_port: config.ingest.bind.port(),
            rtmps_port: config.ingest.tls_bind.port(),
            registration: config.accounts.registration,
            key_rotation: config.accounts.key_rotation.0,
            mail: config.mail.clone(),
            cache: config.cache.clone(),
            requests_per_minute: config.coordinator.requests_per_minute,
            user_requests_per_minute: config.coordinator.user_requests_per_minute,
            auth_requests_per_minute: config.coordinator.auth_requests_per_minute,
            limits: Limits {
                total: config.coordinator.max_connections,
                per_address: config.coordinator.max_connections_per_address,
            },
            tls: tls::server_config(&config.tls, &["h2", "http/1.1"])?,
        })
    }
}

impl Settings {
    /// Whether browsers reach the pages encrypted: by us, or by a proxy before us.
    pub fn is_https(&self) -> bool {
        let public = self.public_url.as_deref().unwrap_or("");
        self.tls.is_some() || public.starts_with("https://")
    }
}

/// Makes the data folder, readable by its owner alone.
pub fn data_folder(folder: &Path) -> Result<(), ConfigError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .and_then(|()| {
            let writable = fs::metadata(folder)?.permissions().mode() & 0o200 != 0;
            if writable {
                Ok(())
            } else {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        });
    made.map_err(|error| {
        ConfigError::key(
            "data_dir",
            folder.display(),
            format!("can't be used: {error}; name a folder that can be written"),
        )
    })
}
