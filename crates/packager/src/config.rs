//! What the packager needs of the configuration.

use std::{net::SocketAddr, sync::Arc};

use runtime::{
    Config, ServiceTokens,
    config::Role,
    gate::Limits,
    tls::{self, ServerConfig},
};

use crate::Error;

/// The packager's settings, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether it packages; then, its internal gRPC listener.
    pub origin: Option<SocketAddr>,
    /// Whether it serves viewers; then, its public listener.
    pub edge: Option<SocketAddr>,
    /// Where edges find this origin; default: from the gRPC listener.
    pub address: Option<String>,
    /// Edge: where the world finds this one, beside the name that all share.
    pub public_url: Option<String>,
    /// Where the coordinators are.
    pub coordinators: Vec<String>,
    /// For internal gRPC.
    pub service_tokens: ServiceTokens,
    /// Bounds on viewers' connections.
    pub limits: Limits,
    /// TLS of the public listener.
    pub tls: Option<Arc<ServerConfig>>,
    /// How thumbnails are made.
    pub thumbnails: ThumbnailSettings,
}

/// How thumbnails are made.
#[derive(Debug, Clone)]
pub struct ThumbnailSettings {
    /// The program; none are made without one.
    pub ffmpeg: Option<String>,
    /// How many are made at once.
    pub at_once: usize,
}

impl Settings {
    /// Takes them from the configuration.
    pub fn resolve(config: &Config) -> Result<Self, Error> {
        let packager = &config.packager;
        Ok(Self {
            origin: packager
                .roles
                .has(Role::Origin)
                .then_some(packager.grpc_bind),
            edge: packager.roles.has(Role::Edge).then_some(packager.bind),
            address: packager.address.clone(),
            public_url: packager
                .public_url
                .as_deref()
                .map(|url| url.trim_end_matches('/').to_owned()),
            coordinators: config.coordinator.address.0.clone(),
            service_tokens: ServiceTokens::open(config)?,
            limits: Limits {
                total: packager.max_connections,
                per_address: packager.max_connections_per_address,
            },
            tls: tls::server_config(&config.tls, &["h2", "http/1.1"])?,
            thumbnails: ThumbnailSettings {
                ffmpeg: Some(packager.ffmpeg.clone())
                    .filter(|program| !matches!(program.as_str(), "" | "off")),
                at_once: packager.thumbnails_at_once as usize,
            },
        })
    }
}
