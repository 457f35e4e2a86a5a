//! The owner's commands. They work on the data folder, beside a running server or without one: the
//! server learns of a new key from the outbox.
#![expect(clippy::print_stdout, reason = "commands answer on standard output")]

use anyhow::Context;
use coordinator::{KeyRing, StreamKey, data_folder};
use runtime::{
    Config,
    config::{Flags, LogDefaults, load},
};
use storage::{Database, NewAudit, NewStream, Scope, Stream};
use types::Slug;

/// The database and the key ring of a data folder.
pub(crate) async fn open(config: &Config) -> anyhow::Result<(Database, KeyRing)> {
    data_folder(&config.data_dir)?;
    let database = Database::open(&Database::url(config), config.database.max_connections)
        .await
        .context("open the database")?;
    let keys =
        KeyRing::open(&config.data_dir, config.secret_key.as_ref()).context("open the key ring")?;
    Ok((database, keys))
}

/// `streamr key [<stream>]`.
pub(crate) async fn key(config: &Config, slug: Option<Slug>) -> anyhow::Result<()> {
    let (database, keys) = open(config).await?;
    let stream = choose(&database, slug).await?;
    let key = StreamKey::generate();
    database
        .streams()
        .replace_key(stream.id, keys.hash(&key), NewAudit::new("key.changed"))
        .await
        .context("replace the key")?;
    println!(
        "New stream key of {}; the old one is worth nothing from now on:",
        stream.slug
    );
    println!("{}", key.expose());
    Ok(())
}

async fn choose(database: &Database, slug: Option<Slug>) -> anyhow::Result<Stream> {
    let streams = database.streams();
    match slug {
        Some(slug) => streams
            .by_slug(&slug)
            .await?
            .with_context(|| format!("there is no stream named {slug}")),
        None => {
            let mut all = streams.list(Scope::All, None, None, 2).await?;
            match (all.pop(), all.pop()) {
                (Some(only), None) => Ok(only),
                (None, _) => anyhow::bail!(
                    "there is no stream yet; start streamr once, or `streamr stream add <name>`"
                ),
                _ => anyhow::bail!("there are several streams; say which: streamr key <stream>"),
            }
        }
    }
}

/// `streamr stream add <slug>`.
pub(crate) async fn add_stream(config: &Config, slug: Slug) -> anyhow::Result<()> {
    let (database, keys) = open(config).await?;
    let key = StreamKey::generate();
    let owner = database.users().owner().await?;
    let new = NewStream {
        owner: owner.map(|owner| owner.id),
        ..NewStream::new(slug.clone(), slug.to_string(), keys.hash(&key))
    };
    let entry = NewAudit::new("stream.created");
    let stream = database.streams().create(new, entry).await?;
    println!("Made the stream {}. Its key, shown only now:", stream.slug);
    println!("{}", key.expose());
    Ok(())
}

/// `streamr --check-config`.
pub(crate) fn check(flags: &Flags) -> anyhow::Result<()> {
    println!("{:#?}", load(flags, LogDefaults::TERMINAL)?);
    Ok(())
}
