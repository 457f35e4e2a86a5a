//! `streamr-coordinator`: the coordinator as a process of its own.

use anyhow::Context;
use clap::Parser;
use coordinator::{KeyRing, Server, Settings, bootstrap, bootstrap_owner, data_folder};
use runtime::{Health, Shutdown, config, telemetry::Telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(config) =
        config::from_command_line::<Cli>(|cli| cli.flags, config::LogDefaults::SERVICE)?
    else {
        return Ok(());
    };
    let telemetry = Telemetry::init(&config, "coordinator")?;
    let (shutdown, health) = (Shutdown::on_signal(), Health::default());
    shutdown.spawn_until_cancelled(telemetry.clone().keep_up());
    data_folder(&config.data_dir)?;
    let database = storage::Database::open(
        &storage::Database::url(&config),
        config.database.max_connections,
    )
    .await
    .context("open the database")?;
    let keys =
        KeyRing::open(&config.data_dir, config.secret_key.as_ref()).context("open the key ring")?;
    bootstrap_owner(&database, &config.bootstrap).await?;
    if let Some(first) = bootstrap(&database, &keys, &config.bootstrap).await? {
        tracing::info!(stream = %first.slug, "made the first stream; `streamr key` makes it a key");
    }
    if database.users().owner().await?.is_none() {
        tracing::warn!(
            "nobody owns this server yet: `streamr admin setup-link` prints the link to make the account, or set STREAMR__BOOTSTRAP__EMAIL and STREAMR__BOOTSTRAP__PASSWORD"
        );
    }
    let ops = coordinator::ops(&config, &telemetry, &health)?;
    shutdown.spawn(ops.0.serve(ops.1, shutdown.clone()));
    let server = Server::bind(Settings::resolve(&config)?, database, keys, &health, None).await?;
    server.serve(shutdown.clone(), axum::Router::new()).await;
    let drained = shutdown.drain().await;
    telemetry.flush().await;
    anyhow::ensure!(drained, "not everything stopped in time");
    Ok(())
}

#[derive(Parser)]
#[command(name = "streamr-coordinator", version, about = "Streamr's coordinator")]
struct Cli {
    #[command(flatten)]
    flags: config::Flags,
}
