//! The upload limit: a token bucket over all links.

use std::time::{Duration, Instant};

use types::{Bitrate, ByteCount};

/// How much may go at once after a pause.
const BURST: Duration = Duration::from_millis(50);

/// Lets bytes pass at a rate. A message passes whole when anything is left; what it takes too much, the next
/// ones wait for.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: Option<Limit>,
}

#[derive(Debug)]
struct Limit {
    bytes_per_second: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) const fn unlimited() -> Self {
        Self { limit: None }
    }

    /// Changes the rate; `None` or zero: no limit.
    pub(crate) fn set(&mut self, rate: Option<Bitrate>, now: Instant) {
        let rate = rate.filter(|rate| *rate > Bitrate::ZERO);
        let left = self.limit.as_ref().map_or(0.0, |limit| limit.left.min(0.0));
        self.limit = rate.map(|rate| Limit {
            bytes_per_second: rate.get() as f64 / 8.0,
            left,
            at: now,
        });
    }

    /// Whether a message may go now; otherwise when.
    pub(crate) fn ready(&mut self, now: Instant) -> Result<(), Instant> {
        let Some(limit) = &mut self.limit else {
            return Ok(());
        };
        let passed = now.saturating_duration_since(limit.at);
        limit.at = now;
        let most = limit.bytes_per_second * BURST.as_secs_f64();
        limit.left = (limit.left + limit.bytes_per_second * passed.as_secs_f64()).min(most);
        if limit.left >= 0.0 {
            return Ok(());
        }
        // A rate of bits per hour must not overflow the clock.
        let wait = (-limit.left / limit.bytes_per_second).min(60.0);
        Err(now + Duration::from_secs_f64(wait) + Duration::from_micros(100))
    }

    pub(crate) fn take(&mut self, bytes: ByteCount) {
        if let Some(limit) = &mut self.limit {
            limit.left -= bytes.get() as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_pass_at_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::unlimited();
        assert_eq!(bucket.ready(start), Ok(()));
        bucket.set(Some(Bitrate::new(8_000_000)), start);
        let mut now = start;
        let mut sent = 0;
        while now < start + Duration::from_secs(2) {
            match bucket.ready(now) {
                Ok(()) => {
                    bucket.take(ByteCount::new(16_000));
                    sent += 16_000;
                }
                Err(at) => now = at,
            }
        }
        assert!((1_950_000..=2_100_000).contains(&sent), "{sent}");
        bucket.set(None, now);
        assert_eq!(bucket.ready(now), Ok(()));
    }
}
