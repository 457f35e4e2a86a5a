//! All services in one process. They talk as they do apart: by gRPC, here on loopback.

use std::{future::Future, pin::Pin, time::Duration};

use anyhow::Context;
use coordinator::{KeyRing, bootstrap, bootstrap_owner, data_folder, setup_link};
use runtime::{Config, Health, Shutdown, telemetry::Telemetry};
use storage::{Database, Scope};

use crate::banner;

/// How long the parts may take to find each other before the banner.
const READY: Duration = Duration::from_secs(10);

type Service = (&'static str, Pin<Box<dyn Future<Output = ()> + Send>>);

/// Runs until a signal.
#[expect(
    clippy::print_stdout,
    reason = "the banner is for the person who started it"
)]
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::init(&config, "all-in-one")?;
    data_folder(&config.data_dir)?;
    let (shutdown, health) = (Shutdown::on_signal(), Health::default());
    let database = Database::open(&Database::url(&config), config.database.max_connections)
        .await
        .context("open the database")?;
    let keys =
        KeyRing::open(&config.data_dir, config.secret_key.as_ref()).context("open the key ring")?;
    bootstrap_owner(&database, &config.bootstrap).await?;
    let first = bootstrap(&database, &keys, &config.bootstrap).await?;
    let slugs: Vec<String> = database
        .streams()
        .list(Scope::Public, None, None, 20)
        .await?
        .into_iter()
        .map(|stream| stream.slug.to_string())
        .collect();

    let setup = setup_link(&database, &keys).await?;
    let services = Box::pin(bind(
        &config, database, keys, &telemetry, &health, &shutdown,
    ))
    .await?;
    let mut running = Vec::new();
    for (name, service) in services {
        running.push((name, shutdown.spawn(service)));
    }
    shutdown.spawn_until_cancelled(telemetry.clone().keep_up());
    wait_until_ready(&health).await?;
    println!(
        "{}",
        banner::text(&config, &slugs, first.as_ref(), setup.as_ref())
    );

    shutdown.cancelled().await;
    for (name, service) in running {
        if service.await.is_err() {
            anyhow::bail!("{name} failed");
        }
    }
    let drained = shutdown.drain().await;
    telemetry.flush().await;
    anyhow::ensure!(drained, "not everything stopped in time");
    Ok(())
}

/// Takes every port before anything runs, so that one that is taken is said at once.
async fn bind(
    config: &Config,
    database: Database,
    keys: KeyRing,
    telemetry: &Telemetry,
    health: &Health,
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<Service>> {
    let (collected, collector) =
        stats_collector::embedded(&stats_collector::Settings::resolve(config), &database);
    let local = config.bus.url.expose().starts_with("local:");
    let stats = (!local)
        .then(|| stats_collector::Settings::resolve(config))
        .map(|settings| stats_collector::Server::open(&settings, &database, health))
        .transpose()?;
    let coordinator = coordinator::Server::bind(
        coordinator::Settings::resolve(config)?,
        database,
        keys,
        health,
        local.then_some(collected),
    )
    .await?;
    let ingest = ingest::Server::bind(ingest::Settings::resolve(config)?, health)?;
    let packager = packager::Server::bind(packager::Settings::resolve(config)?, health)?;
    let more = health.routes();
    let mut services: Vec<Service> = vec![
        (
            "coordinator",
            Box::pin(coordinator.serve(shutdown.clone(), more)),
        ),
        ("ingest", Box::pin(ingest.serve(shutdown.clone()))),
        ("packager", Box::pin(packager.serve(shutdown.clone()))),
    ];
    let stopping = shutdown.clone();
    services.push((
        "stats-collector",
        match stats {
            Some(stats) => Box::pin(stats.serve(stopping)),
            None => Box::pin(async move {
                tokio::select! {
                    () = collector => {}
                    () = stopping.cancelled() => {}
                }
            }),
        },
    ));
    // Metrics are for the operator: on loopback, never on the public port. Whoever has that port taken
    // goes live all the same.
    match coordinator::ops(config, telemetry, health) {
        Ok((ops, routes)) => services.push((
            "health and metrics",
            Box::pin(ops.serve(routes, shutdown.clone())),
        )),
        Err(error) => tracing::warn!("no metrics: {error}"),
    }
    Ok(services)
}

async fn wait_until_ready(health: &Health) -> anyhow::Result<()> {
    let ready = async {
        while !health.missing().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(READY, ready)
        .await
        .map_err(|_| anyhow::anyhow!("not ready in time: {}", health.missing().join("; ")))
}
