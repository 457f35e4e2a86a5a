//! Leaves a Redis alone that does not answer, and says once that it is lost, and once that it is back.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long Redis is left alone after a failure; then one call tries.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Default)]
struct State {
    lost_at: Option<Instant>,
    retry_at: Option<Instant>,
}

/// Whether Redis answers, as far as is known.
#[derive(Default)]
pub(super) struct Circuit {
    state: Mutex<State>,
}

impl Circuit {
    /// Whether the caller may try. While Redis is lost, one caller tries at a time: a Redis that hangs
    /// holds up nobody else.
    pub(super) fn may_try(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        match state.retry_at {
            Some(at) if now < at => false,
            Some(_) => {
                state.retry_at = Some(now + PAUSE);
                true
            }
            None => true,
        }
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state.lock();
        state.retry_at = None;
        if let Some(at) = state.lost_at.take() {
            let away_ms = at.elapsed().as_millis() as u64;
            tracing::info!(away_ms, "Redis answers again");
        }
        metrics::gauge!("streamr_cache_up").set(1.0);
    }

    pub(super) fn failed(&self, why: &str) {
        metrics::counter!("streamr_cache_failures_total").increment(1);
        metrics::gauge!("streamr_cache_up").set(0.0);
        let mut state = self.state.lock();
        let now = Instant::now();
        state.retry_at = Some(now + PAUSE);
        if state.lost_at.is_none() {
            state.lost_at = Some(now);
            tracing::warn!(why, "Redis does not answer; this process's memory does");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_call_tries_at_a_time() {
        let circuit = Circuit::default();
        assert!(circuit.may_try() && circuit.may_try());
        circuit.failed("gone");
        assert!(!circuit.may_try());
        tokio::time::advance(PAUSE).await;
        assert!(circuit.may_try(), "one tries");
        assert!(!circuit.may_try(), "the others don't wait for it");
        circuit.succeeded();
        assert!(circuit.may_try() && circuit.may_try());
    }
}
