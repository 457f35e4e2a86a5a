//! Notices that Redis lost its memory: a restart without its data, or a flush.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// For so long after a loss, what this process remembers counts as well; longer than any lease.
const RELEARN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Seen {
    mark: Option<String>,
    changed_at: Option<Instant>,
}

/// The mark that this process saw in Redis last.
#[derive(Default)]
pub(super) struct Mark {
    seen: Mutex<Seen>,
}

impl Mark {
    /// What a Redis without a mark is given; another every time, so that a loss shows.
    pub(super) fn candidate() -> String {
        format!("{:032x}", rand::random::<u128>())
    }

    /// What was seen last.
    pub(super) fn seen(&self) -> String {
        self.seen.lock().mark.clone().unwrap_or_default()
    }

    /// Takes note of what was seen now.
    pub(super) fn note(&self, mark: String) {
        let mut seen = self.seen.lock();
        if seen.mark.as_ref() == Some(&mark) {
            return;
        }
        if seen.mark.replace(mark).is_some() {
            seen.changed_at = Some(Instant::now());
            metrics::counter!("streamr_cache_forgot_total").increment(1);
            tracing::warn!("Redis lost its memory; it is told again what this process remembers");
        }
    }

    /// Whether Redis lost its memory a moment ago.
    pub(super) fn is_relearning(&self) -> bool {
        let changed_at = self.seen.lock().changed_at;
        changed_at.is_some_and(|at| at.elapsed() < RELEARN)
    }
}
