//! What the coordinator does about facts on the bus.

use std::sync::Arc;

use async_trait::async_trait;
use events::{Event, Fact, Handler, HandlerError};

use crate::live::Live;

/// Cuts publishers off whose key was replaced, whichever process replaced it.
pub(crate) struct RevokeOnKeyChange {
    pub(crate) live: Arc<Live>,
}

#[async_trait]
impl Handler for RevokeOnKeyChange {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        if let Fact::StreamKeyChanged { stream } = event.fact {
            self.live
                .revoke(stream, "the stream key was changed; use the new one", None);
        }
        Ok(())
    }
}
