//! Putting the ingest together and running it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use proto::{Coordinators, Directory, media::media_server::MediaServer};
use runtime::{
    Config, Gate, Health, Shutdown,
    gate::Limits,
    grpc::{Channels, RequireToken},
    grpc_health,
    health::Check,
    http::{Server as HttpServer, accept, listen},
    telemetry::Telemetry,
    tls::ServerConfig,
};
use tokio::net::{TcpListener, TcpStream};
use tonic::service::interceptor::InterceptedService;
use types::InstanceId;

use crate::{
    Error, Settings,
    connection::{self, Context},
    grpc::MediaService,
    hub::Hub,
    relay::PlaySources,
    report::Reporter,
};

/// Connections of services; they are ours.
const INTERNAL: Limits = Limits {
    total: 1024,
    per_address: 1024,
};
/// How often grace periods are looked at.
const SWEEP: Duration = Duration::from_millis(250);

/// A bound ingest.
pub struct Server {
    settings: Settings,
    rtmp: TcpListener,
    rtmps: Option<(TcpListener, Arc<ServerConfig>)>,
    internal: HttpServer,
    coordinators: Coordinators,
    hub: Hub,
    connected: Check,
    health: Health,
}

impl Server {
    /// Takes the ports.
    pub fn bind(settings: Settings, health: &Health) -> Result<Self, Error> {
        let rtmp = listen("RTMP", "ingest.bind", settings.bind)?;
        let rtmps = match &settings.tls {
            Some((bind, tls)) => {
                Some((listen("RTMPS", "ingest.tls_bind", *bind)?, Arc::clone(tls)))
            }
            None => None,
        };
        let internal = listen("ingest gRPC", "ingest.grpc_bind", settings.grpc_bind)?;
        let coordinators = Coordinators::connect(&settings.coordinators, &settings.service_tokens)?;
        Ok(Self {
            hub: Hub::new(settings.queue),
            rtmp,
            rtmps,
            internal: HttpServer::new("ingest_grpc", internal, None, INTERNAL),
            coordinators,
            connected: health.require("coordinator"),
            health: health.clone(),
            settings,
        })
    }

    /// The RTMP address.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.rtmp.local_addr()
    }

    /// Serves until `shutdown`; then cuts publishers off, so that they reconnect elsewhere.
    pub async fn serve(self, shutdown: Shutdown) {
        let Self {
            settings,
            rtmp,
            rtmps,
            internal,
            coordinators,
            hub,
            connected,
            health,
        } = self;
        let instance = InstanceId::new();
        shutdown.spawn_until_cancelled(settings.service_tokens.clone().follow_file());
        let address = settings
            .address
            .clone()
            .unwrap_or_else(|| format!("http://{}", settings.grpc_bind));
        let directory = Directory::default();
        let context = Arc::new(Context {
            hub: hub.clone(),
            coordinators: coordinators.clone(),
            instance,
            sources: PlaySources {
                hub: hub.clone(),
                directory: directory.clone(),
                channels: Channels::new(settings.service_tokens.clone()),
                shutdown: shutdown.clone(),
                gather: settings.gather,
                relays: Arc::default(),
                opened: Arc::default(),
            },
            shutdown: shutdown.clone(),
        });
        shutdown.spawn_until_cancelled(revoke(hub.clone(), directory.clone()));
        shutdown.spawn_until_cancelled(let_go(hub.clone(), directory.clone(), address.clone()));
        shutdown.spawn_until_cancelled(directory.follow(
            coordinators.clone(),
            instance,
            move |state| match state {
                Ok(()) => connected.ok(),
                Err(why) => connected.fail(why),
            },
        ));
        let reporter = Reporter {
            sources: context.sources.clone(),
            coordinators,
            instance,
            address,
        };
        shutdown.spawn_until_cancelled(reporter.clone().run(shutdown.clone()));
        shutdown.spawn_until_cancelled(sweep(hub.clone(), settings.grace));
        shutdown.spawn(internal.serve(grpc(&hub, &settings, &health), shutdown.clone()));
        let gate = Gate::new("rtmp", settings.limits);
        if let Some((listener, tls)) = rtmps {
            tls.keep_current(&shutdown);
            shutdown.spawn(run(listener, Some(tls), gate.clone(), Arc::clone(&context)));
        }
        run(rtmp, None, gate, context).await;
        // Publishers have left or been cut: the coordinator hears it before this instance goes.
        tokio::time::sleep(Duration::from_millis(100)).await;
        reporter.last().await;
    }
}

fn grpc(hub: &Hub, settings: &Settings, health: &Health) -> Router {
    let service = MediaServer::new(MediaService {
        hub: hub.clone(),
        gather: settings.gather,
    })
    .max_encoding_message_size(proto::MAX_MESSAGE_BYTES);
    let guarded = InterceptedService::new(service, RequireToken::new(&settings.service_tokens));
    let routes = tonic::service::Routes::new(guarded)
        .add_service(grpc_health(health, "streamr.media.v1.Media"))
        .prepare()
        .into_axum_router();
    runtime::trace::grpc(routes)
}

async fn sweep(hub: Hub, grace: Duration) {
    loop {
        tokio::time::sleep(SWEEP).await;
        hub.end_expired(grace);
    }
}

/// Cuts publishers off whom the coordinator revokes, and ends streams that it ends.
async fn revoke(hub: Hub, directory: Directory) {
    let mut revocations = directory.revocations();
    loop {
        match revocations.recv().await {
            Ok(revoked) if revoked.end => hub.end(revoked.stream, &revoked.reason),
            Ok(revoked) => hub.revoke(revoked.stream, &revoked.reason, revoked.spared),
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Lets streams go whose publisher returned to another ingest.
async fn let_go(hub: Hub, directory: Directory, address: String) {
    let mut changes = directory.changes();
    loop {
        changes.borrow_and_update();
        for id in hub.ids() {
            let elsewhere = directory.by_id(id).is_some_and(|info| {
                !info.ingest_address.is_empty() && info.ingest_address != address
            });
            if elsewhere {
                hub.give_up(id);
            }
        }
        // A publisher that was cut off a moment ago is gone a moment later.
        let _ = tokio::time::timeout(SWEEP, changes.changed()).await;
    }
}

/// Accepts RTMP connections until shutdown.
async fn run(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    gate: Gate,
    context: Arc<Context>,
) {
    loop {
        let (stream, peer): (TcpStream, SocketAddr) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = context.shutdown.cancelled() => return,
        };
        let Ok(permit) = gate.admit(peer.ip()) else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (context, tls) = (Arc::clone(&context), tls.clone());
        let shutdown = context.shutdown.clone();
        shutdown.spawn(async move {
            match tls {
                None => connection::serve(stream, peer.ip(), context).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection::serve(stream, peer.ip(), context).await;
                    }
                }
            }
            drop(permit);
        });
    }
}

/// The listener for health and metrics of an ingest that is a process of its own, and its routes.
pub fn ops(
    config: &Config,
    telemetry: &Telemetry,
    health: &Health,
) -> Result<(HttpServer, Router), Error> {
    let listener = listen("ingest health", "ingest.ops_bind", config.ingest.ops_bind)?;
    Ok((
        HttpServer::new("ingest_ops", listener, None, INTERNAL),
        health.routes().merge(telemetry.routes()),
    ))
}
