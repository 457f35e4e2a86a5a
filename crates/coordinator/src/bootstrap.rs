//! The first stream: made while the database holds none.

use runtime::config::{Bootstrap, ConfigError};
use storage::{Database, NewAudit, NewStream, StorageError};
use types::Slug;

use crate::{Error, KeyRing, StreamKey};

/// What the first start made.
#[derive(Debug)]
pub struct FirstStream {
    /// Its name.
    pub slug: Slug,
    /// Its key when we made it; `None` when it was given by configuration, which knows it already.
    pub key: Option<StreamKey>,
}

/// The first stream could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// A value that can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    Request(#[from] Error),
}

/// Makes the first stream if there is none.
pub async fn bootstrap(
    database: &Database,
    keys: &KeyRing,
    section: &Bootstrap,
) -> Result<Option<FirstStream>, BootstrapError> {
    let name = section.stream.as_deref().unwrap_or("live");
    let slug: Slug = name.parse().map_err(|error: types::ParseSlugError| {
        ConfigError::key("bootstrap.stream", name, error.to_string())
    })?;
    let given = match &section.stream_key {
        Some(text) => Some(
            StreamKey::parse(text.expose())
                .map_err(|error| ConfigError::secret("bootstrap.stream_key", error.to_string()))?,
        ),
        None => None,
    };
    let streams = database.streams();
    if streams.count().await.map_err(Error::from)? > 0 {
        return Ok(None);
    }
    let key = given.clone().unwrap_or_else(StreamKey::generate);
    let owner = database.users().owner().await.map_err(Error::from)?;
    let new = NewStream {
        owner: owner.map(|owner| owner.id),
        ..NewStream::new(slug.clone(), "My stream".to_owned(), keys.hash(&key))
    };
    let entry = NewAudit::new("stream.created");
    match streams.create(new, entry).await {
        Ok(_) => Ok(Some(FirstStream {
            slug,
            key: given.is_none().then_some(key),
        })),
        // Another replica was faster.
        Err(StorageError::SlugTaken(_)) => Ok(None),
        Err(error) => Err(Error::from(error).into()),
    }
}
