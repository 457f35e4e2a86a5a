//! Putting the packager together and running it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use delivery::DigestKey;
use proto::{
    Directory,
    coordinator::{HeartbeatRequest, ServiceKind, coordinator_client::CoordinatorClient},
    directory::Coordinator,
    packager::origin_server::OriginServer,
};
use runtime::{
    Config, Health, Shutdown,
    gate::Limits,
    grpc::{CALL_TIMEOUT, Channels, RequireToken},
    health::Check,
    http::{Server as HttpServer, listen},
    telemetry::Telemetry,
};
use tonic::service::interceptor::InterceptedService;
use types::InstanceId;

use crate::{
    Error, Settings,
    catalog::{LiveStreams, keep_rights},
    edge::Edge,
    grpc::OriginService,
    origin::{Lessee, Origin, Shared},
    registry::Registry,
    thumbnails::Thumbnails,
};

/// Connections of services; they are ours.
const INTERNAL: Limits = Limits {
    total: 1024,
    per_address: 1024,
};
/// How often the coordinator hears of this instance and its viewers.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often streams are looked at that may be forgotten.
const SWEEP: Duration = Duration::from_secs(5);

/// A bound packager.
pub struct Server {
    settings: Settings,
    public: Option<HttpServer>,
    internal: Option<HttpServer>,
    coordinator: Coordinator,
    connected: Check,
}

impl Server {
    /// Takes the ports.
    pub fn bind(settings: Settings, health: &Health) -> Result<Self, Error> {
        let public = match settings.edge {
            Some(bind) => {
                let listener = listen("playback HTTP", "packager.bind", bind)?;
                Some(HttpServer::new(
                    "playback",
                    listener,
                    settings.tls.clone(),
                    settings.limits,
                ))
            }
            None => None,
        };
        let internal = match settings.origin {
            Some(bind) => {
                let listener = listen("packager gRPC", "packager.grpc_bind", bind)?;
                Some(HttpServer::new("packager_grpc", listener, None, INTERNAL))
            }
            None => None,
        };
        let channel =
            runtime::grpc::channel(&settings.coordinator, settings.service_token.as_ref())?;
        Ok(Self {
            public,
            internal,
            coordinator: CoordinatorClient::new(channel),
            connected: health.require("coordinator"),
            settings,
        })
    }

    /// The public address, if it serves viewers.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.public.as_ref()?.local_addr().ok()
    }

    /// Serves until `shutdown`.
    pub async fn serve(self, shutdown: Shutdown) {
        let Self {
            settings,
            public,
            internal,
            coordinator,
            connected,
        } = self;
        let instance = InstanceId::new();
        let (registry, directory) = (Registry::default(), Directory::default());
        let address = settings.address.clone().unwrap_or_else(|| {
            settings
                .origin
                .map_or_else(String::new, |bind| format!("http://{bind}"))
        });
        shutdown.spawn_until_cancelled(directory.clone().follow(
            coordinator.clone(),
            instance,
            move |state| match state {
                Ok(()) => connected.ok(),
                Err(why) => connected.fail(why),
            },
        ));
        let edge = Edge {
            registry: registry.clone(),
            directory: directory.clone(),
            instance,
            token: settings.service_token.clone(),
            shutdown: shutdown.clone(),
        };
        if let Some(internal) = internal {
            let origin = Origin::new(Shared {
                lessee: Lessee {
                    coordinator: coordinator.clone(),
                    instance,
                    address: address.clone(),
                    digest_key: Arc::new(DigestKey::generate()),
                },
                registry: registry.clone(),
                directory: directory.clone(),
                edge: settings.edge.map(|_| edge.clone()),
                channels: Channels::new(settings.service_token.clone()),
                shutdown: shutdown.clone(),
            });
            shutdown.spawn_until_cancelled(origin.run());
            shutdown.spawn(internal.serve(grpc(&registry, &settings), shutdown.clone()));
        }
        shutdown.spawn_until_cancelled(heartbeats(
            coordinator,
            instance,
            &settings,
            address,
            registry.clone(),
        ));
        shutdown.spawn_until_cancelled(sweep(registry.clone()));
        match public {
            Some(public) => {
                shutdown.spawn_until_cancelled(keep_rights(registry.clone(), directory.clone()));
                let catalog = Arc::new(LiveStreams {
                    registry,
                    directory,
                    edge,
                    thumbnails: Thumbnails::new(settings.thumbnails, shutdown.clone()),
                });
                public
                    .serve(delivery::routes(catalog), shutdown.clone())
                    .await;
            }
            None => shutdown.cancelled().await,
        }
    }
}

fn grpc(registry: &Registry, settings: &Settings) -> Router {
    let service = OriginServer::new(OriginService {
        registry: registry.clone(),
    })
    .max_encoding_message_size(proto::MAX_MESSAGE_BYTES);
    let guarded =
        InterceptedService::new(service, RequireToken::new(settings.service_token.as_ref()));
    tonic::service::Routes::new(guarded)
        .prepare()
        .into_axum_router()
}

async fn sweep(registry: Registry) {
    loop {
        tokio::time::sleep(SWEEP).await;
        registry.sweep();
    }
}

/// Tells the coordinator of this instance and its viewers, forever.
fn heartbeats(
    mut coordinator: Coordinator,
    instance: InstanceId,
    settings: &Settings,
    address: String,
    registry: Registry,
) -> impl Future<Output = ()> + use<> {
    let mut kinds: Vec<i32> = Vec::new();
    kinds.extend(settings.origin.map(|_| i32::from(ServiceKind::Origin)));
    kinds.extend(settings.edge.map(|_| i32::from(ServiceKind::Edge)));
    async move {
        loop {
            let heartbeat = HeartbeatRequest {
                instance_id: instance.to_string(),
                kinds: kinds.clone(),
                address: address.clone(),
                viewers: registry.viewers(),
            };
            let beat = tokio::time::timeout(CALL_TIMEOUT, coordinator.heartbeat(heartbeat)).await;
            if !matches!(beat, Ok(Ok(_))) {
                metrics::counter!("streamr_coordinator_failures_total", "call" => "heartbeat")
                    .increment(1);
            }
            tokio::time::sleep(HEARTBEAT).await;
        }
    }
}

/// The listener for health and metrics of a packager that is a process of its own, and its routes.
pub fn ops(
    config: &Config,
    telemetry: &Telemetry,
    health: &Health,
) -> Result<(HttpServer, Router), Error> {
    let listener = listen(
        "packager health",
        "packager.ops_bind",
        config.packager.ops_bind,
    )?;
    Ok((
        HttpServer::new("packager_ops", listener, None, INTERNAL),
        health.routes().merge(telemetry.routes()),
    ))
}
