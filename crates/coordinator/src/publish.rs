//! May this key publish?

use std::{sync::Arc, time::Duration};

use cache::Cache;
use proto::coordinator::{AuthorizePublishRequest, AuthorizePublishResponse};
use storage::{Database, Stream};
use time::OffsetDateTime;
use types::{Flag, InstanceId, PublishId, StreamState};

use crate::{Error, KeyRing, StreamKey, live::Live, settings::RuntimeSettings};

/// Wrong keys that one address may send within [`WINDOW`] (promise D5).
const WRONG_KEYS: u32 = 10;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);

/// How long a stream that was ended stays ended: encoders try again by themselves.
const STOPPED: time::Duration = time::Duration::seconds(10);

/// Answers `AuthorizePublish`.
pub(crate) struct PublishAuthority {
    pub(crate) database: Database,
    pub(crate) keys: KeyRing,
    pub(crate) cache: Cache,
    pub(crate) live: Arc<Live>,
    pub(crate) settings: RuntimeSettings,
}

impl PublishAuthority {
    pub(crate) async fn authorize(
        &self,
        request: AuthorizePublishRequest,
    ) -> Result<AuthorizePublishResponse, Error> {
        let ingest: InstanceId = proto::convert::field(&request.instance_id, "instance_id")?;
        // The right key always passes: who guesses from the owner's address can't lock him out.
        let stream = match StreamKey::parse(&request.stream_key) {
            Ok(key) => self.database.streams().by_key(self.keys.hash(&key)).await?,
            Err(_) => None,
        };
        let Some(stream) = stream else {
            metrics::counter!("streamr_publish_wrong_keys_total").increment(1);
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
        self.check(&stream).await?;
        let publish = PublishId::new();
        if let Some(live) = self.live.get(stream.id)
            && live.ingest != ingest
        {
            if live.is_publishing() {
                return Err(Error::AlreadyPublishing);
            }
            self.live
                .revoke(stream.id, "another publisher took over", Some(publish));
        }
        Ok(AuthorizePublishResponse {
            stream_id: stream.id.to_string(),
            slug: stream.slug.to_string(),
            publish_id: publish.to_string(),
        })
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
