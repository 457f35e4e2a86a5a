//! May this key publish?

use std::{sync::Arc, time::Duration};

use cache::Cache;
use proto::{
    coordinator::{AuthorizePublishRequest, AuthorizePublishResponse},
    cut::Spared,
};
use storage::{Database, KeyHash, Stream};
use time::OffsetDateTime;
use tokio::time::timeout;
use types::{Flag, InstanceId, PublishId, StreamState};

use crate::{Error, KeyRing, StreamKey, live::Live, settings::RuntimeSettings};

/// Wrong keys that one address may send within [`WINDOW`] (promise D5).
const WRONG_KEYS: u32 = 10;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);

/// How long a stream that was ended stays ended: encoders try again by themselves.
const STOPPED: time::Duration = time::Duration::seconds(10);

/// How long the database may take to find a key.
const DATABASE: Duration = Duration::from_secs(2);
/// How long a connection to another ingest may take that is asked whether it lives.
const PROBE: Duration = Duration::from_millis(500);
/// Keys remembered for when the database is away.
const REMEMBERED: u64 = 10_000;

/// The streams that keys opened lately: who publishes may return while the database is away.
pub(crate) type KnownKeys = moka::sync::Cache<KeyHash, Stream>;

pub(crate) fn known_keys() -> KnownKeys {
    moka::sync::Cache::new(REMEMBERED)
}

/// Answers `AuthorizePublish`.
pub(crate) struct PublishAuthority {
    pub(crate) database: Database,
    pub(crate) keys: KeyRing,
    pub(crate) cache: Cache,
    pub(crate) live: Arc<Live>,
    pub(crate) settings: RuntimeSettings,
    pub(crate) known: KnownKeys,
}

impl PublishAuthority {
    pub(crate) async fn authorize(
        &self,
        request: AuthorizePublishRequest,
    ) -> Result<AuthorizePublishResponse, Error> {
        let ingest: InstanceId = proto::convert::field(&request.instance_id, "instance_id")?;
        // Its id says since when: a key that is changed while it is looked up was changed after.
        let publish = PublishId::new();
        // The right key always passes: who guesses from the owner's address can't lock him out.
        let stream = match StreamKey::parse(&request.stream_key) {
            Ok(key) => self.find(self.keys.hash(&key)).await?,
            Err(_) => None,
        };
        let Some(stream) = stream else {
            metrics::counter!("streamr_publish_wrong_keys_total").increment(1);
            tracing::info!(peer = request.peer_address, "wrong stream key");
            let wrong = self
                .cache
                .hit(&format!("wrong-key/{}", request.peer_address), WINDOW)
                .await?;
            return Err(if wrong > WRONG_KEYS {
                Error::TooManyWrongKeys
            } else {
                Error::WrongKey
            });
        };
        let Found { stream, returns } = stream;
        if !returns {
            self.check(&stream).await?;
        }
        if let Some(live) = self.live.get(stream.id)
            && live.ingest != ingest
        {
            if live.is_publishing() && !is_gone(&live.ingest_address).await {
                return Err(Error::AlreadyPublishing);
            }
            self.live
                .revoke(stream.id, proto::cut::REPLACED, Spared::One(publish));
        }
        Ok(AuthorizePublishResponse {
            stream_id: stream.id.to_string(),
            slug: stream.slug.to_string(),
            publish_id: publish.to_string(),
            began_unix_ms: began_unix_ms(&stream),
        })
    }

    /// The stream that a key opens. While the database is away, that is only known of keys that opened one
    /// lately, and who is on air may return.
    async fn find(&self, key: KeyHash) -> Result<Option<Found>, Error> {
        let answer = timeout(DATABASE, self.database.streams().by_key(key)).await;
        match answer {
            Ok(Ok(Some(stream))) => {
                self.known.insert(key, stream.clone());
                let returns = false;
                Ok(Some(Found { stream, returns }))
            }
            Ok(Ok(None)) => {
                self.known.invalidate(&key);
                Ok(None)
            }
            failed => {
                let known = self.known.get(&key);
                let on_air = known.filter(|stream| self.live.get(stream.id).is_some());
                if let Some(stream) = on_air {
                    metrics::counter!("streamr_publish_authorized_without_database_total")
                        .increment(1);
                    tracing::warn!(stream_id = %stream.id, "publisher let back in without the database");
                    let returns = true;
                    return Ok(Some(Found { stream, returns }));
                }
                match failed {
                    Ok(Err(error)) => Err(error.into()),
                    _ => Err(Error::TooSlow("the database")),
                }
            }
        }
    }

    /// Whether the stream may be published to now, by whoever has its key.
    async fn check(&self, stream: &Stream) -> Result<(), Error> {
        if stream.state == StreamState::Archived {
            return Err(Error::Archived);
        }
        let since = stream.stopped_at.map(|at| OffsetDateTime::now_utc() - at);
        if since.is_some_and(|since| since < STOPPED) {
            return Err(Error::JustEnded);
        }
        // Who is on air stays there, and may return.
        if !stream.state.is_on_air() && !self.settings.is_on(Flag::Publishing) {
            return Err(Error::PublishingPaused);
        }
        if let Some(owner) = stream.owner {
            let owner = self.database.users().by_id(owner).await?;
            if owner.is_some_and(|owner| owner.banned_at.is_some()) {
                return Err(Error::Banned);
            }
        }
        Ok(())
    }
}

/// The stream that a key opens.
struct Found {
    stream: Stream,
    /// It is on air, and what else may forbid it can't be looked up now.
    returns: bool,
}

/// When the broadcast on air began, Unix time in milliseconds; 0 when there is none.
fn began_unix_ms(stream: &Stream) -> i64 {
    let began = stream.started_at.filter(|_| stream.state.is_on_air());
    began.map_or(0, |at| (at.unix_timestamp_nanos() / 1_000_000) as i64)
}

/// Whether an ingest refuses connections: its process is gone, and with it whoever published there. One that
/// hangs has said nothing.
async fn is_gone(address: &str) -> bool {
    let host = address.rsplit("//").next().unwrap_or(address);
    let connected = timeout(PROBE, tokio::net::TcpStream::connect(host)).await;
    matches!(connected, Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}
