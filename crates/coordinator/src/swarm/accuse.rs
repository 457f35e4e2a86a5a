//! What pages accuse peers of. A viewer can lie: an accusation moves that viewer and has the node tested, and does
//! nothing more.

use auth::PlaybackClaims;
use tokio::time::Instant;
use types::{Msn, NodeId};

use super::{Swarm, test_pull::Suspicion};

impl Swarm {
    /// A page accuses a peer: it is given another, and one whose bytes were wrong is tested.
    pub(crate) fn accused(
        &self,
        claims: &PlaybackClaims,
        peer_id: &str,
        reason: &'static str,
        msn: Msn,
    ) {
        let node = self.moved(claims, peer_id, reason);
        if let Some(node) = node.filter(|_| reason == "digest") {
            self.suspect(Suspicion {
                node,
                stream: claims.stream,
                msn,
            });
        }
    }

    fn moved(
        &self,
        claims: &PlaybackClaims,
        peer_id: &str,
        reason: &'static str,
    ) -> Option<NodeId> {
        metrics::counter!("streamr_accusations_total", "reason" => reason).increment(1);
        self.with(|state| {
            let viewer = state.viewers.get(&claims.session)?;
            let meant = viewer.assignments.iter().find(|given| {
                let seat = state.seats.get(&given.node);
                seat.is_some_and(|seat| seat.peer_id.to_binary_string() == peer_id)
            });
            let node = meant?.node;
            state.part(claims.session, node);
            if reason == "digest"
                && let Some(viewer) = state.viewers.get_mut(&claims.session)
            {
                viewer.excluded.accused(node, Instant::now());
            }
            state.want(claims.session);
            Some(node)
        })
    }
}
