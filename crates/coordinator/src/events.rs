//! What the coordinator does about facts on the bus.

use std::sync::Arc;

use async_trait::async_trait;
use events::{Event, Fact, Handler, HandlerError};
use proto::cut::{self, Spared, came_after};
use storage::{Database, SIGNING_KEYS};
use types::StreamId;

use crate::{
    Error, accounts::Signing, feeds::Feeds, live::Live, origins::Origins,
    settings::RuntimeSettings, swarm::Swarm,
};

/// Makes what is live follow what was changed, whichever process changed it.
pub(crate) struct FollowChanges {
    pub(crate) database: Database,
    pub(crate) live: Arc<Live>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) settings: RuntimeSettings,
    pub(crate) signing: Signing,
    pub(crate) feeds: Feeds,
    pub(crate) swarm: Swarm,
}

/// Unix time in microseconds.
pub(crate) fn micros(at: time::OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1000) as i64
}

impl FollowChanges {
    async fn apply(&self, event: &Event) -> Result<(), Error> {
        match &event.fact {
            Fact::StreamKeyChanged { stream } => {
                // Who came after the change came with the new key.
                let publish = self.live.get(*stream).map(|live| live.publish);
                if publish.is_none_or(|publish| !came_after(publish, event.time_us)) {
                    let spared = Spared::After(event.time_us);
                    self.live.revoke(*stream, cut::KEY_CHANGED, spared);
                }
            }
            Fact::StreamChanged { stream } => {
                if let Some(row) = self.database.streams().by_id(*stream).await? {
                    self.live.set_restricted(*stream, row.is_restricted());
                }
                self.swarm.changed(*stream).await?;
            }
            Fact::StreamStopped { stream } => {
                let later = self.live.get(*stream).map(|live| live.publish);
                if later.is_none_or(|publish| !came_after(publish, event.time_us)) {
                    self.stop(*stream, cut::STOPPED).await?;
                }
            }
            Fact::StreamDeleted { stream, .. } => {
                self.stop(*stream, cut::DELETED).await?;
                self.swarm.changed(*stream).await?;
            }
            Fact::NodeEnrolled { node, .. } | Fact::NodeStatusChanged { node, .. } => {
                self.swarm.friends_changed(*node).await?;
            }
            Fact::SessionRevoked { stream, session } => {
                self.live.revoke_session(*stream, *session);
                self.swarm.revoke(*session);
            }
            Fact::SettingChanged { name } if name == SIGNING_KEYS => {
                self.signing.refresh().await?;
                let keys = self.signing.playback_keys().public_keys();
                self.live.set_playback_keys(keys);
            }
            Fact::SettingChanged { .. } => self.settings.refresh().await?,
            _ => {}
        }
        Ok(())
    }

    async fn stop(&self, stream: StreamId, reason: &str) -> Result<(), Error> {
        if let Some(stopped) = self.live.stop(stream, reason) {
            let streams = self.database.streams();
            streams.set_peak(stream, stopped.peak_viewers).await?;
        }
        self.origins.forget(stream).await
    }
}

#[async_trait]
impl Handler for FollowChanges {
    async fn handle(&self, events: &[Event]) -> Result<(), HandlerError> {
        for event in events {
            let applied = self.apply(event).await;
            if let Some(stream) = event.stream() {
                self.feeds.touch(stream);
            }
            applied.map_err(told)?;
        }
        Ok(())
    }

    async fn missed(&self) -> Result<(), HandlerError> {
        // Streams and keys are compared with the database every two seconds (`lifecycle`).
        self.settings.refresh().await.map_err(told)
    }
}

/// Whether an event waits or is given up.
pub(crate) fn told(error: Error) -> HandlerError {
    match &error {
        Error::Storage(cause) if !cause.is_unavailable() => HandlerError::rejected(error),
        Error::Storage(_) | Error::Cache(_) => HandlerError::unavailable(error),
        _ => HandlerError::rejected(error),
    }
}
