//! Putting the coordinator together and running it.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, middleware};
use cache::Cache;
use events::{Bus, Kind, Nudge, Subscription};
use proto::{coordinator::coordinator_server::CoordinatorServer, node::node_server::NodeServer};
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
    keeper::{self, Inside, Keeper, Through},
    lifecycle::Lifecycle,
    live::Live,
    origins::Origins,
    pages,
    publish::{PublishAuthority, known_keys},
    registry::Registry,
    rest,
    settings::RuntimeSettings,
    stream_history,
    swarm::{self, Gather, NodeService, Stun, Swarm, bind_stun, tracker_route},
};

/// Connections of services; they are ours.
const INTERNAL: Limits = Limits {
    total: 1024,
    per_address: 1024,
};
/// Coordinators that may each hand as much through as their public listener takes.
const OTHERS: u32 = 3;
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
    stun: Stun,
    swarm: Swarm,
    keeper: Keeper,
    through: Through,
}

impl Server {
    /// Takes the ports and puts the parts together. `also` listens on the bus beside the coordinator, where that
    /// reaches nobody outside this process.
    pub async fn bind(
        mut settings: Settings,
        database: Database,
        keys: KeyRing,
        health: &Health,
        also: Option<Subscription>,
    ) -> Result<Self, Error> {
        let ready = reachable(&database, health).await?;
        let public = listen("public HTTP", "coordinator.bind", settings.bind)?;
        let internal = listen_internally(&settings)?;
        let stun = stun(&mut settings)?;
        let cache = cache(&settings)?;
        let watch_cache = (cache.clone(), health.require("cache"));
        let (live, nudge) = (Arc::new(Live::default()), Nudge::default());
        let (registry, histories) = (Registry::new(&cache), Histories::default());
        let People {
            accounts,
            runtime,
            postman,
        } = People::open(&settings, &database, &keys, &cache, &live).await?;
        let feeds = Feeds::new(&database, &live, &registry, &histories);
        let origins = origins(&database, &cache, &live).await?;
        let seen = (&live, &registry);
        let swarm = friends(&settings, &database, &keys, &accounts, seen, &nudge);
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
            swarm: swarm.clone(),
        };
        let grpc = internal_routes(service, &settings, health);
        let follow = FollowChanges {
            database: database.clone(),
            live: Arc::clone(&live),
            origins,
            settings: runtime.clone(),
            signing: accounts.signing.clone(),
            feeds: feeds.clone(),
            swarm: swarm.clone(),
        };
        let bus = open_bus(&settings, &database, &nudge, follow, also)?;
        let housekeeping = housekeeping(&settings, &database, &live, &runtime, &accounts);
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
            swarm: swarm.clone(),
        }))
        .merge(pages::routes(settings.clone(), registry.clone()));
        let (keeper, through) = keeping(&settings, &database, &swarm);
        let limits = internal_limits(settings.limits.total);
        Ok(Self {
            public: HttpServer::new("coordinator", public, settings.tls, settings.limits),
            internal: HttpServer::new("coordinator_grpc", internal, None, limits),
            grpc,
            rest,
            bus,
            bus_ready: health.require("bus"),
            lifecycle,
            registry,
            service_tokens: settings.service_tokens,
            instance: settings.instance,
            address: settings.own_address,
            database,
            housekeeping,
            feeds,
            postman,
            ready,
            watch_cache,
            stun,
            swarm,
            keeper,
            through,
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
            stun,
            swarm,
            keeper,
            through,
        } = self;
        let routes = rest.merge(friends_routes(&swarm, &cache, &shutdown));
        let inside = Inside {
            keeper: keeper.clone(),
            tokens: service_tokens.clone(),
            routes: routes.clone(),
        };
        let grpc = grpc.layer(middleware::from_fn_with_state(inside, keeper::take));
        let routes = routes.layer(middleware::from_fn_with_state(through, keeper::hand));
        shutdown.spawn(keeper.run(shutdown.clone()));
        shutdown.spawn(swarm.gather().clone().run(shutdown.clone()));
        shutdown.spawn_until_cancelled(swarm.clone().test_suspects(shutdown.clone()));
        shutdown.spawn_until_cancelled(swarm.run());
        shutdown.spawn(stun.serve(shutdown.clone()));
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
        public.serve(routes.merge(more), shutdown.clone()).await;
    }
}

/// Who keeps the swarm, and the way through to it.
fn keeping(settings: &Settings, database: &Database, swarm: &Swarm) -> (Keeper, Through) {
    let own = keeper::Own {
        instance: settings.instance,
        address: settings.own_address.clone(),
    };
    let keeper = Keeper::new(own, database.clone(), swarm.clone());
    let (tokens, most) = (settings.service_tokens.clone(), settings.limits.total);
    let through = Through::new(keeper.clone(), tokens, most);
    (keeper, through)
}

/// Bounds on the internal listener, where each public connection of another coordinator may be handed through.
fn internal_limits(handed: u32) -> Limits {
    let total = INTERNAL.total.saturating_add(handed.saturating_mul(OTHERS));
    Limits {
        total,
        per_address: total,
    }
}

/// The bus with everybody here who listens to it.
fn open_bus(
    settings: &Settings,
    database: &Database,
    nudge: &Nudge,
    follow: FollowChanges,
    also: Option<Subscription>,
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
    if let Some(also) = also {
        bus.subscribe(also);
    }
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

/// What is cleaned up now and then.
fn housekeeping(
    settings: &Settings,
    database: &Database,
    live: &Arc<Live>,
    runtime: &RuntimeSettings,
    accounts: &Accounts,
) -> Housekeeping {
    Housekeeping {
        database: database.clone(),
        live: Arc::clone(live),
        settings: runtime.clone(),
        signing: accounts.signing.clone(),
        instance: settings.instance,
    }
}

/// Who carries, and for whom.
fn friends(
    settings: &Settings,
    database: &Database,
    keys: &KeyRing,
    accounts: &Accounts,
    (live, registry): (&Arc<Live>, &Registry),
    nudge: &Nudge,
) -> Swarm {
    Swarm::new(swarm::Parts {
        database: database.clone(),
        keys: keys.clone(),
        signing: accounts.signing.clone(),
        live: Arc::clone(live),
        registry: registry.clone(),
        gather: Gather::new(settings.instance, database.clone(), nudge.clone()),
        settings: settings.clone(),
    })
}

/// The STUN responder's port, which settings then name: tests have any.
fn stun(settings: &mut Settings) -> Result<Stun, Error> {
    let stun = bind_stun(settings.stun_bind)?;
    if let Ok(bound) = stun.local_addr() {
        settings.stun_port = bound.port();
    }
    Ok(stun)
}

/// What nodes and pages' peers connect to, on the public port.
fn friends_routes(swarm: &Swarm, cache: &Cache, shutdown: &Shutdown) -> Router {
    let service = NodeServer::new(NodeService {
        swarm: swarm.clone(),
        cache: cache.clone(),
        shutdown: shutdown.clone(),
    })
    .max_decoding_message_size(swarm::MAX_NODE_MESSAGE);
    let nodes = tonic::service::Routes::new(service)
        .prepare()
        .into_axum_router()
        .reset_fallback();
    nodes.merge(tracker_route(swarm.clone(), shutdown.clone()))
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
