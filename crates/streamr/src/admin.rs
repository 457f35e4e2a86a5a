//! The operator's commands: for whoever can reach the data folder, when the pages are not enough.
#![expect(clippy::print_stdout, reason = "commands answer on standard output")]

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use coordinator::{owner_reset_link, setup_link};
use events::{DeadLetter, DeadLetters};
use runtime::{Config, config::Flags};
use storage::{Database, NewAudit, Seen, User};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::{EventId, NodeId, Slug};

use crate::{banner, commands::open};

/// What an operator may do.
#[derive(Subcommand)]
pub(crate) enum AdminCommand {
    /// Print a one-time link to make the owner's account.
    SetupLink {
        #[command(flatten)]
        flags: Flags,
    },
    /// Print a one-time link to set a new password for the owner.
    ResetOwner {
        #[command(flatten)]
        flags: Flags,
    },
    /// Ban an account: its log-ins end and its streams stop.
    Ban {
        /// The account's e-mail address.
        email: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Lift a ban.
    Unban {
        /// The account's e-mail address.
        email: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// List events that could not be applied, or send them back.
    DeadLetters {
        #[command(subcommand)]
        command: Option<DeadLettersCommand>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show how a friend's node does, and what is held against it.
    Node {
        /// The node's id, as in its supporter page's address.
        node: NodeId,
        /// Let it have viewers again: what it was set aside for is explained.
        #[arg(long)]
        release: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// End a stream that is on air.
    Stop {
        /// The stream's name.
        stream: Slug,
        #[command(flatten)]
        flags: Flags,
    },
}

/// What is done with events that could not be applied.
#[derive(Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Send them back to the queue they died in, once what kept them from being applied is mended.
    Replay {
        /// This one only.
        #[arg(long)]
        id: Option<EventId>,
    },
}

impl AdminCommand {
    /// The flags behind the command's name.
    pub(crate) fn flags(&self) -> &Flags {
        match self {
            Self::SetupLink { flags }
            | Self::ResetOwner { flags }
            | Self::Ban { flags, .. }
            | Self::Unban { flags, .. }
            | Self::DeadLetters { flags, .. }
            | Self::Node { flags, .. }
            | Self::Stop { flags, .. } => flags,
        }
    }
}

/// Runs one. A running server hears of it from the outbox.
pub(crate) async fn run(config: &Config, command: AdminCommand) -> Result<()> {
    let (database, keys) = open(config).await?;
    let base = banner::pages(config, banner::scheme(config));
    match command {
        AdminCommand::SetupLink { .. } => match setup_link(&database, &keys).await? {
            Some(link) => println!(
                "Open this link to make the owner's account; it works once, for a day:\n{}",
                link.url(&base)
            ),
            None => {
                bail!("this server has an owner; `streamr admin reset-owner` resets the password")
            }
        },
        AdminCommand::ResetOwner { .. } => match owner_reset_link(&database, &keys).await? {
            Some((link, email)) => println!(
                "Open this link to set a new password for {email}; it works once, for an hour:\n{}",
                link.reset_url(&base)
            ),
            None => bail!(
                "nobody owns this server yet; `streamr admin setup-link` prints a link to make the account"
            ),
        },
        AdminCommand::Ban { email, .. } => ban(&database, &email, true).await?,
        AdminCommand::Unban { email, .. } => ban(&database, &email, false).await?,
        AdminCommand::DeadLetters { command, .. } => {
            dead_letters(config, &database, command).await?;
        }
        AdminCommand::Node { node, release, .. } => friend(&database, node, release).await?,
        AdminCommand::Stop { stream, .. } => stop(&database, &stream).await?,
    }
    Ok(())
}

async fn account(database: &Database, email: &str) -> Result<User> {
    let found = database
        .users()
        .by_email(&email.trim().to_lowercase())
        .await?;
    found.with_context(|| format!("nobody has an account under {email}"))
}

async fn ban(database: &Database, email: &str, banned: bool) -> Result<()> {
    let user = account(database, email).await?;
    let (action, done) = if banned {
        ("user.banned", "banned")
    } else {
        ("user.unbanned", "not banned any more")
    };
    let mut entry = NewAudit::new(action);
    entry.subject = Some(format!("user/{}", user.id));
    database.users().set_banned(user.id, banned, entry).await?;
    println!("{email} is {done}.");
    Ok(())
}

async fn stop(database: &Database, slug: &Slug) -> Result<()> {
    let stream = database.streams().by_slug(slug).await?;
    let stream = stream.with_context(|| format!("there is no stream named {slug}"))?;
    let entry = NewAudit::new("stream.ended");
    database
        .streams()
        .stop(stream.id, Seen::default(), entry)
        .await?;
    println!("{slug} was ended; its publisher is cut off within a second.");
    Ok(())
}

/// Pieces of evidence listed at once.
const EVIDENCE: u32 = 100;
/// How a node does is told of so many days.
const DAYS: i64 = 7;

async fn friend(database: &Database, id: NodeId, release: bool) -> Result<()> {
    let friends = database.friends();
    let node = friends.node(id).await?;
    let node = node.with_context(|| format!("there is no node {id}"))?;
    if release {
        let mut entry = NewAudit::new("node.released");
        entry.subject = Some(format!("node/{id}"));
        if !friends.release(id, entry).await? {
            bail!("{} was not set aside", node.name);
        }
        println!("{} may have viewers again.", node.name);
        return Ok(());
    }
    match &node.quarantine {
        Some((at, why)) => println!("{}: set aside since {}: {why}", node.name, when(*at)),
        None => println!("{}: may have viewers", node.name),
    }
    let since = OffsetDateTime::now_utc() - time::Duration::days(DAYS);
    let since_ms = since.unix_timestamp() * 1000;
    let health = database.carrying().health(id, since_ms).await?;
    println!(
        "In {DAYS} days it claimed {} bytes, and viewers verified {}; {} sessions do not add up.",
        health.claimed.get(),
        health.carried.get(),
        health.findings
    );
    for piece in database.evidence().against(id, EVIDENCE).await? {
        println!("{}  {}  {}", when(piece.at), piece.kind, piece.detail);
    }
    Ok(())
}

fn when(at: OffsetDateTime) -> String {
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_default()
}

/// Letters listed at once.
const LISTED: u32 = 100;

async fn dead_letters(
    config: &Config,
    database: &Database,
    command: Option<DeadLettersCommand>,
) -> Result<()> {
    let outbox = Arc::new(database.outbox());
    let letters = DeadLetters::new(&config.bus.url, &config.bus.name, outbox)?;
    if let Some(DeadLettersCommand::Replay { id }) = command {
        let replayed = letters.replay(id).await.context("send back dead letters")?;
        match (replayed, id) {
            (0, Some(id)) => bail!("there is no dead letter {id}"),
            (0, None) => println!("There are no dead letters."),
            _ => println!("Sent back: {replayed}."),
        }
        return Ok(());
    }
    let listed = letters.list(LISTED).await.context("list dead letters")?;
    if listed.is_empty() {
        println!("There are no dead letters.");
    }
    for letter in &listed {
        println!("{}", line(letter));
    }
    if listed.len() >= LISTED as usize {
        println!("There may be more; these are the oldest.");
    }
    Ok(())
}

fn line(letter: &DeadLetter) -> String {
    let at = when(OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(letter.died_us));
    let name = Some(letter.name.as_str()).filter(|name| !name.is_empty());
    format!(
        "{at}  {}  {}  {}  {}",
        letter.id,
        name.unwrap_or("(unreadable)"),
        letter.queue,
        letter.reason
    )
}
