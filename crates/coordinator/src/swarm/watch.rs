//! What a session's page is told as it changes, and what its token is good for.

use std::{net::IpAddr, sync::Arc, time::Duration};

use auth::PlaybackClaims;
use tokio::sync::watch;
use types::SessionId;

use super::{Swarm, viewer::View};
use crate::accounts::now;

/// What a token opened is recognised by it for so long: as long as anybody watches, and as late as receipts may come.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A page that listens; dropping it ends that.
pub(crate) struct Watching {
    swarm: Swarm,
    session: SessionId,
    /// What it is told, and what follows.
    pub(crate) view: watch::Receiver<Arc<View>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut state = self.swarm.inner.state.lock();
        if let Some(viewer) = state.viewers.get_mut(&self.session) {
            viewer.listeners = viewer.listeners.saturating_sub(1);
            viewer.note_presence();
        }
    }
}

impl Swarm {
    /// What a viewer's token says that opened a session lately; a node's opens nothing here.
    pub(crate) fn claims(&self, token: &str) -> Option<PlaybackClaims> {
        let keys = self.inner.signing.playback_keys();
        let claims: PlaybackClaims = auth::verify_opened(&keys, token, now(), LONGEST).ok()?;
        let revoked = self.inner.live.is_revoked(claims.stream, claims.session);
        (claims.node.is_none() && !revoked).then_some(claims)
    }

    /// Listens for a session. `None`: there are too many.
    pub(crate) fn watch(&self, claims: &PlaybackClaims, address: IpAddr) -> Option<Watching> {
        let mut state = self.inner.state.lock();
        let address = Self::viewer_address(address);
        let viewer = state.viewer(claims.session, claims.stream, address)?;
        viewer.listeners += 1;
        viewer.note_presence();
        Some(Watching {
            swarm: self.clone(),
            session: claims.session,
            view: viewer.view.subscribe(),
        })
    }

    /// A session was revoked: whoever carries it lets go.
    pub(crate) fn revoke(&self, session: SessionId) {
        let mut state = self.inner.state.lock();
        let nodes: Vec<_> = state.viewers.get(&session).map_or_else(Vec::new, |viewer| {
            viewer.assignments.iter().map(|given| given.node).collect()
        });
        for node in nodes {
            state.part(session, node);
        }
        state.end_viewer(session);
    }
}
