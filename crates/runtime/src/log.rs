//! Log lines that strangers or an outage could cause without end: said at most once a second.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct State {
    said_at: Option<Instant>,
    unsaid: u64,
}

/// Lets a line pass at most once a second, and counts those in between.
#[derive(Debug)]
pub struct Seldom(Mutex<State>);

impl Seldom {
    /// Nothing was said yet.
    #[expect(
        clippy::new_without_default,
        reason = "made in statics; a default can't be"
    )]
    pub const fn new() -> Self {
        Self(Mutex::new(State {
            said_at: None,
            unsaid: 0,
        }))
    }

    /// Whether to say it now: then how often it was not said since the last time.
    pub fn say(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.0.lock();
        if state
            .said_at
            .is_some_and(|at| now.duration_since(at) < PAUSE)
        {
            state.unsaid = state.unsaid.saturating_add(1);
            return None;
        }
        state.said_at = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_said_once_a_second_with_how_many_were_not() {
        let seldom = Seldom::new();
        assert_eq!(seldom.say(), Some(0));
        assert_eq!(seldom.say(), None);
        assert_eq!(seldom.say(), None);
        tokio::time::advance(PAUSE).await;
        assert_eq!(seldom.say(), Some(2));
        assert_eq!(seldom.say(), None);
        tokio::time::advance(PAUSE * 2).await;
        assert_eq!(seldom.say(), Some(1));
    }
}
