//! `streamr-stats-collector`: the stats-collector as a process of its own.

use anyhow::Context;
use clap::Parser;
use runtime::{Health, Shutdown, config, telemetry::Telemetry};
use stats_collector::{Server, Settings, ops};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(config) =
        config::from_command_line::<Cli>(|cli| cli.flags, config::LogDefaults::SERVICE)?
    else {
        return Ok(());
    };
    let telemetry = Telemetry::init(&config, "stats-collector")?;
    let (shutdown, health) = (Shutdown::on_signal(), Health::default());
    shutdown.spawn_until_cancelled(telemetry.clone().keep_up());
    let (listener, routes) = ops(&config, &telemetry, &health)?;
    shutdown.spawn(listener.serve(routes, shutdown.clone()));
    let url = storage::Database::url(&config);
    let database = storage::Database::open(&url, config.database.max_connections)
        .await
        .context("open the database")?;
    let server = Server::open(&Settings::resolve(&config), &database, &health)?;
    server.serve(shutdown.clone()).await;
    let drained = shutdown.drain().await;
    telemetry.flush().await;
    anyhow::ensure!(drained, "not everything stopped in time");
    Ok(())
}

#[derive(Parser)]
#[command(
    name = "streamr-stats-collector",
    version,
    about = "Streamr's stats-collector: who carried what"
)]
struct Cli {
    #[command(flatten)]
    flags: config::Flags,
}
