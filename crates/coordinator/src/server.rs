//! Putting the coordinator together and running it.

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use cache::Cache;
use events::{Bus, Kind, Nudge, Subscription};
use proto::coordinator::coordinator_server::CoordinatorServer;
use runtime::{
    Config, Health, ServiceTokens, Shutdown,
    gate::Limits,
    grpc::RequireToken,
    grpc_health,
    health::Check,
    http::{Server as HttpServer, listen},
    telemetry::Telemetry,
};
use storage::Database;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use types::InstanceId;

use crate::{
    Error, KeyRing, Settings,
    accounts::{Accounts, Mailer, Postman, Signing},
    events::FollowChanges,
    feeds::Feeds,
    grpc::CoordinatorService,
    history::Histories,
    housekeeping::Housekeeping,
    lifecycle::Lifecycle,
    live::Live,
    origins::Origins,
    pages,
    publish::{PublishAuthority, known_keys},
    registry::Registry,
    rest,
    settings::RuntimeSettings,
    stream_history,
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
    bus: Bus,
    bus_ready: Check,
    lifecycle: Arc<Lifecycle>,
    registry: Registry,
    service_tokens: ServiceTokens,
    instance: InstanceId,
    address: String,
    database: Database,
    housekeeping: Housekeeping,
    feeds: Feeds,
    postman: Option<Postman>,
    ready: Check,
    watch_cache: (Cache, Check),
}

impl Server {
    /// Takes the ports and puts the parts together.
    pub async fn bind(
        settings: Settings,
        database: Database,
        keys: KeyRing,
        health: &Health,
    ) -> Result<Self, Error> {
        let ready = reachable(&database, health).await?;
        let public = listen("public HTTP", "coordinator.bind", settings.bind)?;
        let internal = listen_internally(&settings)?;
        let cache = cache(&settings)?;
        let watch_cache = (cache.clone(), health.require("cache"));
        let (live, nudge) = (Arc::new(Live::default()), Nudge::default());
        let registry = Registry::new(&cache);
        let histories = Histories::default();
        let People {
            accounts,
            runtime,
            postman,
        } = People::open(&settings, &database, &keys, &cache, &live).await?;
        let feeds = Feeds::new(&database, &live, &registry, &histories);
        let origins = origins(&database, &cache, &live).await?;
        let lifecycle = Arc::new(Lifecycle {
            database: database.clone(),
            live: Arc::clone(&live),
            registry: registry.clone(),
            origins: Arc::clone(&origins),
            histories: histories.clone(),
            nudge: nudge.clone(),
            grace: settings.grace,
        });
        let service = CoordinatorService {
            authority: authority(&database, &keys, &cache, &live, &runtime),
            lifecycle: Arc::clone(&lifecycle),
            registry: registry.clone(),
            origins: Arc::clone(&origins),
            live: Arc::clone(&live),
        };
        let grpc = internal_routes(service, &settings, health);
        let follow = FollowChanges {
            database: database.clone(),
            live: Arc::clone(&live),
            origins,
            settings: runtime.clone(),
            signing: accounts.signing.clone(),
            feeds: feeds.clone(),
        };
        let bus = open_bus(&settings, &database, &nudge, follow)?;
        let housekeeping = Housekeeping {
            database: database.clone(),
            live: Arc::clone(&live),
            settings: runtime.clone(),
            signing: accounts.signing.clone(),
            instance: settings.instance,
        };
        let rest = runtime::trace::http(rest::routes(rest::Api {
            database: database.clone(),
            cache,
            live,
            registry: registry.clone(),
            settings: settings.clone(),
            runtime,
            accounts,
            keys,
            feeds: feeds.clone(),
            histories,
            nudge,
        }))
        .merge(pages::routes(settings.clone(), registry.clone()));
        let instance = settings.instance;
        let address = format!("http://{}", settings.grpc_bind);
        let service_tokens = settings.service_tokens;
        let (tls, limits) = (settings.tls, settings.limits);
        Ok(Self {
            public: HttpServer::new("coordinator", public, tls, limits),
            internal: HttpServer::new("coordinator_grpc", internal, None, INTERNAL),
            grpc,
            rest,
            bus,
            bus_ready: health.require("bus"),
            lifecycle,
            registry,
            service_tokens,
            instance,
            address,
            database,
            housekeeping,
            feeds,
            postman,
            ready,
            watch_cache,
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
            bus_ready,
            lifecycle,
            registry,
            service_tokens,
            instance,
            address,
            database,
            housekeeping,
            feeds,
            postman,
            ready,
            watch_cache: (cache, cache_ready),
        } = self;
        shutdown.spawn_until_cancelled(cache.watch(cache_ready));
        shutdown.spawn(bus.run(shutdown.clone(), bus_ready));
        lifecycle.look_after(&shutdown);
        shutdown.spawn_until_cancelled(feeds.run());
        shutdown.spawn_until_cancelled(service_tokens.follow_file());
        shutdown.spawn_until_cancelled(registry.follow(instance, address));
        housekeeping.start(&shutdown);
        if let Some(postman) = postman {
            shutdown.spawn(postman.run(shutdown.clone()));
        }
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

/// The bus with everybody here who listens to it.
fn open_bus(
    settings: &Settings,
    database: &Database,
    nudge: &Nudge,
    follow: FollowChanges,
) -> Result<Bus, Error> {
    let outbox = Arc::new(database.outbox());
    let mut bus = Bus::open(&settings.bus.url, &settings.bus.name, outbox, nudge.clone())?;
    bus.subscribe(Subscription {
        name: "coordinator.changes",
        kind: Kind::Broadcast,
        facts: &[],
        handler: Arc::new(follow),
    });
    bus.subscribe(stream_history::subscription(database.history()));
    Ok(bus)
}

/// Who says whether a key may publish.
fn authority(
    database: &Database,
    keys: &KeyRing,
    cache: &Cache,
    live: &Arc<Live>,
    settings: &RuntimeSettings,
) -> PublishAuthority {
    PublishAuthority {
        database: database.clone(),
        keys: keys.clone(),
        cache: cache.clone(),
        live: Arc::clone(live),
        settings: settings.clone(),
        known: known_keys(),
    }
}

/// The database's part of readiness; it must answer now.
async fn reachable(database: &Database, health: &Health) -> Result<Check, Error> {
    let ready = health.require("database");
    database.ping().await?;
    ready.ok();
    Ok(ready)
}

fn cache(settings: &Settings) -> Result<Cache, Error> {
    let section = &settings.cache;
    Ok(Cache::connect(section.url.expose(), &section.prefix)?)
}

fn listen_internally(settings: &Settings) -> Result<TcpListener, Error> {
    let bind = settings.grpc_bind;
    Ok(listen("coordinator gRPC", "coordinator.grpc_bind", bind)?)
}

fn internal_routes(service: CoordinatorService, settings: &Settings, health: &Health) -> Router {
    let guarded = InterceptedService::new(
        CoordinatorServer::new(service),
        RequireToken::new(&settings.service_tokens),
    );
    let routes = tonic::service::Routes::new(guarded)
        .add_service(grpc_health(health, "streamr.coordinator.v1.Coordinator"))
        .prepare()
        .into_axum_router();
    runtime::trace::grpc(routes)
}

/// Who packages what; streams that were live before this start are given time to be heard of.
async fn origins(
    database: &Database,
    cache: &Cache,
    live: &Arc<Live>,
) -> Result<Arc<Origins>, Error> {
    let were_live = database.streams().on_air().await?;
    let recovering = were_live.into_iter().map(|stream| stream.id).collect();
    Ok(Arc::new(Origins {
        database: database.clone(),
        cache: cache.clone(),
        live: Arc::clone(live),
        recorded: parking_lot::Mutex::default(),
        heard: parking_lot::Mutex::default(),
        recovering: parking_lot::Mutex::new(recovering),
        started: tokio::time::Instant::now(),
    }))
}

/// Accounts and what an admin sets.
struct People {
    accounts: Accounts,
    runtime: RuntimeSettings,
    postman: Option<Postman>,
}

impl People {
    async fn open(
        settings: &Settings,
        database: &Database,
        keys: &KeyRing,
        cache: &Cache,
        live: &Arc<Live>,
    ) -> Result<Self, Error> {
        let registration = settings.registration;
        let runtime =
            RuntimeSettings::open(database.clone(), Arc::clone(live), registration).await?;
        let rotation = settings.key_rotation;
        let signing =
            Signing::open(database.clone(), keys.clone(), rotation, settings.instance).await?;
        live.set_playback_keys(signing.playback_keys().public_keys());
        let (mailer, postman) = Mailer::new(&settings.mail)?;
        let accounts = Accounts::new(
            database.clone(),
            keys.clone(),
            signing,
            cache.clone(),
            mailer,
            runtime.clone(),
        );
        Ok(Self {
            accounts,
            runtime,
            postman,
        })
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
