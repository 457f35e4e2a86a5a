//! What the coordinator does about facts on the bus.

use std::sync::Arc;

use async_trait::async_trait;
use events::{Event, Fact, Handler, HandlerError};

use types::PublishId;

use crate::live::Live;

/// Cuts publishers off whose key was replaced, whichever process replaced it.
pub(crate) struct RevokeOnKeyChange {
    pub(crate) live: Arc<Live>,
}

/// Whether a publisher was authorized after a key was made (Unix time in microseconds): its id is a
/// UUIDv7, precise to a millisecond.
pub(crate) fn came_after(publish: PublishId, key_us: i64) -> bool {
    let created = publish.as_uuid().get_timestamp().map_or(0, |timestamp| {
        let (seconds, nanos) = timestamp.to_unix();
        seconds.cast_signed() * 1_000_000 + i64::from(nanos / 1000)
    });
    created + 1000 > key_us
}

/// What a publisher reads whose key was replaced.
pub(crate) const KEY_CHANGED: &str = "the stream key was changed; use the new one";

#[async_trait]
impl Handler for RevokeOnKeyChange {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        if let Fact::StreamKeyChanged { stream } = event.fact {
            // Who came after the change came with the new key.
            let publish = self.live.get(stream).map(|live| live.publish);
            if publish.is_some_and(|publish| came_after(publish, event.time_us)) {
                return Ok(());
            }
            self.live.revoke(stream, KEY_CHANGED, None);
        }
        Ok(())
    }
}
