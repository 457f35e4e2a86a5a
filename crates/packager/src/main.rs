//! `streamr-packager`: the packager as a process of its own.

use clap::Parser;
use packager::{Server, Settings, ops};
use runtime::{Health, Shutdown, config, telemetry::Telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(config) =
        config::from_command_line::<Cli>(|cli| cli.flags, config::LogDefaults::SERVICE)?
    else {
        return Ok(());
    };
    let telemetry = Telemetry::init(&config, "packager")?;
    let (shutdown, health) = (Shutdown::on_signal(), Health::default());
    shutdown.spawn_until_cancelled(telemetry.clone().keep_up());
    let (listener, routes) = ops(&config, &telemetry, &health)?;
    shutdown.spawn(listener.serve(routes, shutdown.clone()));
    let server = Server::bind(Settings::resolve(&config)?, &health)?;
    server.serve(shutdown.clone()).await;
    let drained = shutdown.drain().await;
    telemetry.flush().await;
    anyhow::ensure!(drained, "not everything stopped in time");
    Ok(())
}

#[derive(Parser)]
#[command(
    name = "streamr-packager",
    version,
    about = "Streamr's packager: origin and edge"
)]
struct Cli {
    #[command(flatten)]
    flags: config::Flags,
}
