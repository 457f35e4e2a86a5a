//! Leaves an engine alone that does not answer, and says once that it is lost, and once that it is back.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long the engine is left alone after a failure; then one call tries.
const PAUSE: Duration = Duration::from_millis(500);

/// How an engine is called in logs and metrics.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The log line when it is lost; why is added.
    pub lost: &'static str,
    /// The log line when it is back; how long it was away is added.
    pub back: &'static str,
    /// Counts failures.
    pub failures_total: &'static str,
    /// 1 while it answers, 0 while it does not.
    pub up: &'static str,
}

#[derive(Debug, Default)]
struct State {
    lost_at: Option<Instant>,
    retry_at: Option<Instant>,
}

/// Whether an engine answers, as far as is known.
pub struct Circuit {
    names: Names,
    state: Mutex<State>,
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Circuit").field(&*self.state.lock()).finish()
    }
}

impl Circuit {
    /// Of an engine of which nothing bad is known.
    pub fn new(names: Names) -> Self {
        metrics::gauge!(names.up).set(1.0);
        Self {
            names,
            state: Mutex::default(),
        }
    }

    /// Whether the caller may try. While the engine is lost, one caller tries at a time: an engine that
    /// hangs holds up nobody else.
    pub fn may_try(&self) -> bool {
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

    /// The engine answered.
    pub fn succeeded(&self) {
        let mut state = self.state.lock();
        state.retry_at = None;
        if let Some(at) = state.lost_at.take() {
            metrics::gauge!(self.names.up).set(1.0);
            let away_ms = at.elapsed().as_millis() as u64;
            tracing::info!(away_ms, "{}", self.names.back);
        }
    }

    /// It did not.
    pub fn failed(&self, why: &str) {
        metrics::counter!(self.names.failures_total).increment(1);
        let mut state = self.state.lock();
        let now = Instant::now();
        state.retry_at = Some(now + PAUSE);
        if state.lost_at.is_none() {
            state.lost_at = Some(now);
            metrics::gauge!(self.names.up).set(0.0);
            tracing::warn!(why, "{}", self.names.lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_call_tries_at_a_time() {
        let circuit = Circuit::new(Names {
            lost: "lost",
            back: "back",
            failures_total: "streamr_test_failures_total",
            up: "streamr_test_up",
        });
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
