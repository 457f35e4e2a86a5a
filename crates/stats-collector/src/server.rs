//! Putting the stats-collector together and running it.

use std::sync::Arc;

use axum::Router;
use events::{Bus, Nudge, Subscription};
use runtime::{
    Config, Health, Shutdown,
    gate::Limits,
    health::Check,
    http::{Server as HttpServer, listen},
    telemetry::Telemetry,
};
use storage::Database;

use crate::{Error, Settings, events::subscription, reconcile::Reconciler};

/// Connections of scrapers and probes.
const INTERNAL: Limits = Limits {
    total: 64,
    per_address: 64,
};

/// A stats-collector that is put together.
pub struct Server {
    bus: Bus,
    bus_ready: Check,
    reconciler: Reconciler,
}

/// Its part in a process whose bus is the process's own: what to subscribe there, and what to run beside.
pub fn embedded(
    settings: &Settings,
    database: &Database,
) -> (Subscription, impl Future<Output = ()> + Send + use<>) {
    let reconciler = Reconciler {
        database: database.clone(),
        instance: settings.instance,
        nudge: Nudge::default(),
    };
    (subscription(database.carrying()), reconciler.run())
}

impl Server {
    /// Connects to what it needs.
    pub fn open(settings: &Settings, database: &Database, health: &Health) -> Result<Self, Error> {
        if settings.bus.url.expose().starts_with("local:") {
            return Err(Error::LocalBus);
        }
        let nudge = Nudge::default();
        let outbox = Arc::new(database.outbox());
        let mut bus = Bus::open(&settings.bus.url, &settings.bus.name, outbox, nudge.clone())?;
        bus.subscribe(subscription(database.carrying()));
        Ok(Self {
            bus,
            bus_ready: health.require("stats bus"),
            reconciler: Reconciler {
                database: database.clone(),
                instance: settings.instance,
                nudge,
            },
        })
    }

    /// Works until `shutdown`.
    pub async fn serve(self, shutdown: Shutdown) {
        let Self {
            bus,
            bus_ready,
            reconciler,
        } = self;
        shutdown.spawn_until_cancelled(reconciler.run());
        bus.run(shutdown.clone(), bus_ready).await;
    }
}

/// The listener for health and metrics of a stats-collector that is a process of its own, and its routes.
pub fn ops(
    config: &Config,
    telemetry: &Telemetry,
    health: &Health,
) -> Result<(HttpServer, Router), Error> {
    let listener = listen(
        "stats-collector health",
        "stats.ops_bind",
        config.stats.ops_bind,
    )?;
    Ok((
        HttpServer::new("stats_ops", listener, None, INTERNAL),
        health.routes().merge(telemetry.routes()),
    ))
}
