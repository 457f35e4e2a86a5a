//! Who may watch a stream: everybody, or, while it is restricted, the sessions that a token opened.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use types::SessionId;

/// Sessions admitted to a stream at once; further ones are refused.
const MAX_ADMITTED: usize = 100_000;
/// Sessions remembered as admitted a moment ago; the oldest go first.
const MAX_RECENT: usize = 10_000;
/// How long a session that asks for nothing stays open, at least.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same in target durations.
const PATIENCE_TARGETS: u32 = 6;

/// A stream that can't admit more sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug)]
pub(crate) struct Access {
    restricted: AtomicBool,
    /// When each last asked for something.
    admitted: Mutex<HashMap<SessionId, Instant>>,
    /// Those admitted while the stream was restricted, the newest last.
    recent: Mutex<VecDeque<(Instant, SessionId)>>,
    /// Counts what may take the right to watch from who is connected.
    narrowed: watch::Sender<u64>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            restricted: AtomicBool::new(false),
            admitted: Mutex::default(),
            recent: Mutex::default(),
            narrowed: watch::Sender::new(0),
        }
    }
}

/// How long a session stays open that asks for nothing.
pub(crate) fn patience(target_duration: u32) -> Duration {
    PATIENCE.max(Duration::from_secs(
        u64::from(target_duration) * u64::from(PATIENCE_TARGETS),
    ))
}

impl Access {
    pub(crate) fn is_restricted(&self) -> bool {
        self.restricted.load(Ordering::Acquire)
    }

    pub(crate) fn set_restricted(&self, restricted: bool) {
        if self.restricted.swap(restricted, Ordering::AcqRel) != restricted && restricted {
            self.narrow();
        }
    }

    fn narrow(&self) {
        self.narrowed.send_modify(|count| *count += 1);
    }

    /// Changes when who is connected should see whether it still may be.
    pub(crate) fn narrowed(&self) -> watch::Receiver<u64> {
        self.narrowed.subscribe()
    }

    /// Closes sessions that are not to be kept, and has who is connected look again.
    pub(crate) fn review(&self, keep: impl Fn(SessionId) -> bool) {
        self.admitted.lock().retain(|session, _| keep(*session));
        self.narrow();
    }

    /// Opens a session, or opens it again. Answers whether it is new here.
    pub(crate) fn admit(&self, session: SessionId, patience: Duration) -> Result<bool, Full> {
        let mut admitted = self.admitted.lock();
        let now = Instant::now();
        if admitted.len() >= MAX_ADMITTED && !admitted.contains_key(&session) {
            admitted.retain(|_, asked| now.duration_since(*asked) <= patience);
            if admitted.len() >= MAX_ADMITTED {
                return Err(Full);
            }
        }
        let is_new = admitted.insert(session, now).is_none();
        drop(admitted);
        if is_new && self.is_restricted() {
            let mut recent = self.recent.lock();
            if recent.len() >= MAX_RECENT {
                recent.pop_front();
            }
            recent.push_back((now, session));
        }
        Ok(is_new)
    }

    /// Sessions admitted within `age` while the stream was restricted.
    pub(crate) fn admitted_within(&self, age: Duration) -> Vec<SessionId> {
        let mut recent = self.recent.lock();
        recent.retain(|(at, _)| at.elapsed() <= age);
        recent.iter().map(|(_, session)| *session).collect()
    }

    /// Whether the session is open; if so, it stays open for as long again.
    pub(crate) fn renew(&self, session: SessionId, patience: Duration) -> bool {
        let mut admitted = self.admitted.lock();
        let Some(asked) = admitted.get_mut(&session) else {
            return false;
        };
        if asked.elapsed() <= patience {
            *asked = Instant::now();
            return true;
        }
        admitted.remove(&session);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_lasts_while_it_asks_and_no_longer() {
        let (access, session) = (Access::default(), SessionId::new());
        let patience = patience(2);
        assert!(!access.renew(session, patience), "never opened");
        access.admit(session, patience).unwrap();
        for _ in 0..10 {
            tokio::time::advance(patience).await;
            assert!(access.renew(session, patience));
        }
        tokio::time::advance(patience + Duration::from_secs(1)).await;
        assert!(!access.renew(session, patience));
        access.admit(session, patience).unwrap();
        access.review(|kept| kept != session);
        assert!(!access.renew(session, patience), "revoked");
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_bounded_and_make_place() {
        let (access, patience) = (Access::default(), patience(10));
        for _ in 0..MAX_ADMITTED {
            access.admit(SessionId::new(), patience).unwrap();
        }
        assert_eq!(access.admit(SessionId::new(), patience), Err(Full));
        tokio::time::advance(patience + Duration::from_secs(1)).await;
        assert_eq!(access.admit(SessionId::new(), patience), Ok(true));
        assert_eq!(access.admitted.lock().len(), 1);
    }

    #[test]
    fn patience_is_a_minute_or_six_target_durations() {
        assert_eq!(patience(2), Duration::from_secs(60));
        assert_eq!(patience(20), Duration::from_secs(120));
    }
}
