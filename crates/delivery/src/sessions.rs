//! Who watches: sessions that poll, and connections that last.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use types::SessionId;

/// Sessions remembered per stream; further ones play, and are not counted.
const MAX_SESSIONS: usize = 100_000;

/// The viewers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    polled: Mutex<HashMap<SessionId, Instant>>,
    connected: Arc<AtomicU32>,
    opened: AtomicU64,
}

/// A viewer that is connected; dropping it ends the count.
#[derive(Debug)]
pub(crate) struct Connected(Arc<AtomicU32>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Sessions {
    /// Somebody began to watch.
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// How often somebody began to watch.
    pub(crate) fn total(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// The session asked for a playlist.
    pub(crate) fn polled(&self, session: SessionId) {
        let mut polled = self.polled.lock();
        if polled.len() < MAX_SESSIONS || polled.contains_key(&session) {
            polled.insert(session, Instant::now());
        } else {
            metrics::counter!("streamr_sessions_uncounted_total").increment(1);
            tracing::debug!("too many viewers to count another");
        }
    }

    /// A viewer connects for as long as it watches.
    pub(crate) fn connect(&self) -> Connected {
        self.connected.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(&self.connected))
    }

    /// Viewers now: who polled within `patience`, or is connected. Forgets the others.
    pub(crate) fn count(&self, patience: Duration) -> u32 {
        let mut polled = self.polled.lock();
        let now = Instant::now();
        polled.retain(|_, at| now.duration_since(*at) <= patience);
        u32::try_from(polled.len())
            .unwrap_or(u32::MAX)
            .saturating_add(self.connected.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_viewer_counts_while_it_polls_or_is_connected() {
        let sessions = Sessions::default();
        let patience = Duration::from_secs(6);
        let session = SessionId::new();
        sessions.polled(session);
        sessions.polled(session);
        let connected = sessions.connect();
        assert_eq!(sessions.count(patience), 2);
        drop(connected);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(sessions.count(patience), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(sessions.count(patience), 0);
    }
}
