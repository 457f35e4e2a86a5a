//! Putting the coordinator together and running it.

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use cache::Cache;
use events::{LocalBus, Nudge};
use proto::coordinator::coordinator_server::CoordinatorServer;
use runtime::{
    Config, Health, Shutdown,
    gate::Limits,
    grpc::RequireToken,
    health::Check,
    http::{Server as HttpServer, listen},
    telemetry::Telemetry,
};
use storage::Database;
use tonic::service::interceptor::InterceptedService;
use types::StreamState;

use crate::{
    Error, KeyRing, Settings, events::RevokeOnKeyChange, grpc::CoordinatorService,
    lifecycle::Lifecycle, live::Live, origins::Origins, pages, publish::PublishAuthority,
    registry::Registry, rest,
};

/// Connections of services; they are ours.
const INTERNAL: Limits = Limits {
    total: 1024,
    per_address: 1024,
};
/// How often the database is asked whether it answers.
const PING: std::time::Duration = std::time::Duration::from_secs(2);

/// A bound coordinator.
pub struct Server {
    public: HttpServer,
    internal: HttpServer,
    grpc: Router,
    rest: Router,
    bus: LocalBus,
    lifecycle: Arc<Lifecycle>,
    database: Database,
    ready: Check,
}

impl Server {
    /// Takes the ports and puts the parts together.
    pub async fn bind(
        settings: Settings,
        database: Database,
        keys: KeyRing,
        health: &Health,
    ) -> Result<Self, Error> {
        let ready = health.require("database");
        database.ping().await?;
        ready.ok();
        let public = listen("public HTTP", "coordinator.bind", settings.bind)?;
        let internal = listen(
            "coordinator gRPC",
            "coordinator.grpc_bind",
            settings.grpc_bind,
        )?;
        let (cache, live, nudge) = (Cache::memory(), Arc::new(Live::default()), Nudge::default());
        let registry = Registry {
            cache: cache.clone(),
        };
        let were_live = database.streams().in_state(StreamState::Live).await?;
        let recovering = were_live.into_iter().map(|stream| stream.id).collect();
        let origins = Arc::new(Origins {
            database: database.clone(),
            cache: cache.clone(),
            live: Arc::clone(&live),
            recorded: parking_lot::Mutex::default(),
            recovering: parking_lot::Mutex::new(recovering),
            started: tokio::time::Instant::now(),
        });
        let lifecycle = Arc::new(Lifecycle {
            database: database.clone(),
            live: Arc::clone(&live),
            registry: registry.clone(),
            origins: Arc::clone(&origins),
            nudge: nudge.clone(),
            grace: settings.grace,
        });
        let service = CoordinatorService {
            authority: PublishAuthority {
                database: database.clone(),
                keys,
                cache,
                live: Arc::clone(&live),
            },
            lifecycle: Arc::clone(&lifecycle),
            registry: registry.clone(),
            origins,
            live: Arc::clone(&live),
        };
        let guarded = InterceptedService::new(
            CoordinatorServer::new(service),
            RequireToken::new(settings.service_token.as_ref()),
        );
        let grpc = tonic::service::Routes::new(guarded)
            .prepare()
            .into_axum_router();
        let mut bus = LocalBus::new(Arc::new(database.outbox()), nudge);
        bus.subscribe(Arc::new(RevokeOnKeyChange {
            live: Arc::clone(&live),
        }));
        let public = HttpServer::new("coordinator", public, settings.tls.clone(), settings.limits);
        let rest = rest::routes(rest::Api {
            database: database.clone(),
            live,
            registry,
            settings: settings.clone(),
        })
        .merge(pages::routes(settings));
        let internal = HttpServer::new("coordinator_grpc", internal, None, INTERNAL);
        Ok(Self {
            public,
            internal,
            grpc,
            rest,
            bus,
            lifecycle,
            database,
            ready,
        })
    }

    /// The public address.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The internal address.
    pub fn grpc_addr(&self) -> std::io::Result<SocketAddr> {
        self.internal.local_addr()
    }

    /// Serves until `shutdown`. `more` is merged into the public routes: health, when embedded.
    pub async fn serve(self, shutdown: Shutdown, more: Router) {
        let Self {
            public,
            internal,
            grpc,
            rest,
            bus,
            lifecycle,
            database,
            ready,
        } = self;
        shutdown.spawn_until_cancelled(bus.run());
        shutdown.spawn_until_cancelled(lifecycle.sweep());
        shutdown.spawn_until_cancelled(async move {
            loop {
                tokio::time::sleep(PING).await;
                match database.ping().await {
                    Ok(()) => ready.ok(),
                    Err(error) => ready.fail(error.to_string()),
                }
            }
        });
        shutdown.spawn(internal.serve(grpc, shutdown.clone()));
        public.serve(rest.merge(more), shutdown.clone()).await;
    }
}

/// The listener for health and metrics of a coordinator that is a process of its own, and its routes.
pub fn ops(
    config: &Config,
    telemetry: &Telemetry,
    health: &Health,
) -> Result<(HttpServer, Router), Error> {
    let listener = listen(
        "coordinator health",
        "coordinator.ops_bind",
        config.coordinator.ops_bind,
    )?;
    Ok((
        HttpServer::new("coordinator_ops", listener, None, INTERNAL),
        health.routes().merge(telemetry.routes()),
    ))
}
