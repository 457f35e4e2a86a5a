//! `streamr`: every service in one process on embedded defaults, and the owner's commands.

mod admin;
mod banner;
mod commands;
mod serve;

use admin::AdminCommand;
use clap::{Parser, Subcommand};
use runtime::config::{Flags, LogDefaults, load};
use types::Slug;

#[derive(Parser)]
#[command(
    name = "streamr",
    version,
    about = "Live streaming carried by your friends"
)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new stream key, print it, and cut the old publisher off.
    Key {
        /// The stream's name; may be left out while there is only one.
        stream: Option<Slug>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Manage streams.
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Reset the owner, ban accounts, stop streams.
    #[command(subcommand)]
    Admin(AdminCommand),
}

#[derive(Subcommand)]
enum StreamCommand {
    /// Make another stream and print its key.
    Add {
        /// Its name in URLs: a-z, 0-9, '-' and '_'.
        slug: Slug,
        #[command(flatten)]
        flags: Flags,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Key { stream, flags }) => {
            commands::key(
                &load(&merged(flags, &cli.flags), LogDefaults::TERMINAL)?,
                stream,
            )
            .await
        }
        Some(Command::Stream(StreamCommand::Add { slug, flags })) => {
            commands::add_stream(
                &load(&merged(flags, &cli.flags), LogDefaults::TERMINAL)?,
                slug,
            )
            .await
        }
        Some(Command::Admin(command)) => {
            let flags = merged(command.flags().clone(), &cli.flags);
            admin::run(&load(&flags, LogDefaults::TERMINAL)?, command).await
        }
        None if cli.flags.check_config => commands::check(&cli.flags),
        None => Box::pin(serve::run(load(&cli.flags, LogDefaults::TERMINAL)?)).await,
    }
}

/// A command's flags may stand before or behind its name.
fn merged(behind: Flags, before: &Flags) -> Flags {
    Flags {
        config: behind.config.or_else(|| before.config.clone()),
        data_dir: behind.data_dir.or_else(|| before.data_dir.clone()),
        check_config: behind.check_config || before.check_config,
    }
}
