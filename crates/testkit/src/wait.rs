//! Waiting with a deadline.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, timeout};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` finds something, for `limit` at most; `what` says what was waited for.
pub async fn eventually<T, F>(limit: Duration, what: &str, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + limit;
    loop {
        let last = match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= deadline {
            return Err(last.unwrap_or_else(|| anyhow::anyhow!("it did not happen")))
                .with_context(|| format!("{what}, waited for {limit:?}"));
        }
        sleep(PAUSE).await;
    }
}

/// The outcome of `future`, which must come within `limit`.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> Result<T> {
    timeout(limit, future)
        .await
        .with_context(|| format!("{what}: nothing within {limit:?}"))
}
