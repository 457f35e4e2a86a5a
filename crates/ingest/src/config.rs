//! What the ingest needs of the configuration.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use runtime::{Config, ServiceTokens, gate::Limits, tls};
use types::ByteCount;

use crate::Error;

/// The ingest's settings, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// RTMP listener.
    pub bind: SocketAddr,
    /// RTMPS listener and its TLS, when a certificate is set.
    pub tls: Option<(SocketAddr, Arc<tls::ServerConfig>)>,
    /// Internal gRPC listener.
    pub grpc_bind: SocketAddr,
    /// Where others find this ingest; default: from the gRPC listener.
    pub address: Option<String>,
    /// Where the coordinators are.
    pub coordinators: Vec<String>,
    /// For internal gRPC.
    pub service_tokens: ServiceTokens,
    /// How long a stream waits for its publisher.
    pub grace: Duration,
    /// Bounds on RTMP connections.
    pub limits: Limits,
    /// How long samples are gathered before they are handed on.
    pub gather: Duration,
    /// What is kept of a stream behind its current GOP.
    pub queue: ByteCount,
}

impl Settings {
    /// Takes them from the configuration.
    pub fn resolve(config: &Config) -> Result<Self, Error> {
        // RTMPS has no ALPN.
        let tls = tls::server_config(&config.tls, &[])?;
        Ok(Self {
            bind: config.ingest.bind,
            tls: tls.map(|tls| (config.ingest.tls_bind, tls)),
            grpc_bind: config.ingest.grpc_bind,
            address: config.ingest.address.clone(),
            coordinators: config.coordinator.address.0.clone(),
            service_tokens: ServiceTokens::open(config)?,
            grace: config.ingest.grace.0,
            limits: Limits {
                total: config.ingest.max_connections,
                per_address: config.ingest.max_connections_per_address,
            },
            gather: config.ingest.gather.0,
            queue: config.ingest.queue_size.0,
        })
    }
}
