//! Putting the packager together and running it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use delivery::DigestKey;
use proto::{Coordinators, Directory, packager::origin_server::OriginServer};
use runtime::{
    Config, Health, Shutdown,
    gate::Limits,
    grpc::{Channels, RequireToken},
    grpc_health,
    health::Check,
    http::{Server as HttpServer, listen},
    telemetry::Telemetry,
};
use tokio::sync::Semaphore;
use tonic::service::interceptor::InterceptedService;
use types::InstanceId;

use crate::{
    Error, Settings,
    catalog::{FINDING, LiveStreams, keep_rights},
    edge::Edge,
    grpc::OriginService,
    heart::Heart,
    origin::{Lessee, Origin, Shared},
    registry::Registry,
    thumbnails::Thumbnails,
};

/// Connections of services; they are ours.
const INTERNAL: Limits = Limits {
    total: 1024,
    per_address: 1024,
};
/// How often streams are looked at that may be forgotten.
const SWEEP: Duration = Duration::from_secs(5);

/// A bound packager.
pub struct Server {
    settings: Settings,
    public: Option<HttpServer>,
    internal: Option<HttpServer>,
    coordinators: Coordinators,
    connected: Check,
    health: Health,
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
        let coordinators = Coordinators::connect(&settings.coordinators, &settings.service_tokens)?;
        Ok(Self {
            public,
            internal,
            coordinators,
            connected: health.require("coordinator"),
            health: health.clone(),
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
            coordinators,
            connected,
            health,
        } = self;
        let instance = InstanceId::new();
        shutdown.spawn_until_cancelled(settings.service_tokens.clone().follow_file());
        let (registry, directory) = (Registry::default(), Directory::default());
        let address = settings.address.clone().unwrap_or_else(|| {
            settings
                .origin
                .map_or_else(String::new, |bind| format!("http://{bind}"))
        });
        shutdown.spawn_until_cancelled(directory.clone().follow(
            coordinators.clone(),
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
            tokens: settings.service_tokens.clone(),
            shutdown: shutdown.clone(),
        };
        if let Some(internal) = internal {
            let origin = Origin::new(Shared {
                lessee: Lessee {
                    coordinators: coordinators.clone(),
                    instance,
                    address: address.clone(),
                    digest_key: Arc::new(DigestKey::generate()),
                },
                registry: registry.clone(),
                directory: directory.clone(),
                edge: settings.edge.map(|_| edge.clone()),
                channels: Channels::new(settings.service_tokens.clone()),
                shutdown: shutdown.clone(),
            });
            shutdown.spawn_until_cancelled(origin.run());
            shutdown.spawn(internal.serve(grpc(&registry, &settings, &health), shutdown.clone()));
        }
        let heart = Heart::new(
            instance,
            &settings,
            address,
            public.as_ref().and_then(|public| public.local_addr().ok()),
            registry.clone(),
        );
        for coordinator in coordinators.each() {
            shutdown.spawn_until_cancelled(heart.clone().beat(coordinator));
        }
        shutdown.spawn_until_cancelled(sweep(registry.clone()));
        match public {
            Some(public) => {
                shutdown.spawn_until_cancelled(keep_rights(registry.clone(), directory.clone()));
                let catalog = Arc::new(LiveStreams {
                    registry,
                    directory,
                    instance,
                    coordinators,
                    finding: Semaphore::new(FINDING),
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

fn grpc(registry: &Registry, settings: &Settings, health: &Health) -> Router {
    let service = OriginServer::new(OriginService {
        registry: registry.clone(),
    })
    .max_encoding_message_size(proto::MAX_MESSAGE_BYTES);
    let guarded = InterceptedService::new(service, RequireToken::new(&settings.service_tokens));
    let routes = tonic::service::Routes::new(guarded)
        .add_service(grpc_health(health, "streamr.packager.v1.Origin"))
        .prepare()
        .into_axum_router();
    runtime::trace::grpc(routes)
}

async fn sweep(registry: Registry) {
    loop {
        tokio::time::sleep(SWEEP).await;
        registry.sweep();
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
