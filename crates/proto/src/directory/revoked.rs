//! Sessions that were revoked lately. A token opens within minutes of its issue, and what a session had
//! open is closed when it is revoked: so a revocation may be forgotten once no token of it is good.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use auth::{Kind, PlaybackClaims};
use runtime::log::Seldom;
use tokio::time::Instant;
use types::SessionId;

/// Revocations kept; the oldest go first.
const CAPACITY: usize = 100_000;
/// Beyond a token's lifetime, for clocks that differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// Says that some are forgotten.
static SAID: Seldom = Seldom::new();

#[derive(Debug, Default)]
pub(super) struct Revoked {
    order: VecDeque<(Instant, SessionId)>,
    sessions: HashSet<SessionId>,
}

impl Revoked {
    pub(super) fn contains(&self, session: SessionId) -> bool {
        self.sessions.contains(&session)
    }

    /// `false`: known already.
    pub(super) fn insert(&mut self, session: SessionId) -> bool {
        let now = Instant::now();
        while let Some((at, oldest)) = self.order.front().copied() {
            let full = self.order.len() >= CAPACITY;
            let expired = now.duration_since(at) > PlaybackClaims::LIFETIME + LEEWAY;
            if !(full || expired) {
                break;
            }
            if !expired {
                metrics::counter!("streamr_revocations_forgotten_total").increment(1);
                if let Some(unsaid) = SAID.say() {
                    tracing::warn!(
                        unsaid,
                        "too many sessions were revoked; the oldest revocations are forgotten"
                    );
                }
            }
            self.order.pop_front();
            self.sessions.remove(&oldest);
        }
        if !self.sessions.insert(session) {
            return false;
        }
        self.order.push_back((now, session));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_revocation_outlives_every_token_of_its_session_and_no_more() {
        let mut revoked = Revoked::default();
        let session = SessionId::new();
        assert!(revoked.insert(session));
        assert!(!revoked.insert(session), "said twice");
        tokio::time::advance(PlaybackClaims::LIFETIME).await;
        revoked.insert(SessionId::new());
        assert!(revoked.contains(session));
        tokio::time::advance(LEEWAY + Duration::from_secs(1)).await;
        revoked.insert(SessionId::new());
        assert!(!revoked.contains(session));
        assert_eq!(revoked.order.len(), revoked.sessions.len());
    }

    #[tokio::test(start_paused = true)]
    async fn revocations_are_bounded() {
        let mut revoked = Revoked::default();
        let first = SessionId::new();
        revoked.insert(first);
        for _ in 0..CAPACITY {
            revoked.insert(SessionId::new());
        }
        assert_eq!(revoked.order.len(), CAPACITY);
        assert!(!revoked.contains(first));
    }
}
