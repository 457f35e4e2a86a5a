//! Waiting between tries: exponential, capped, jittered.

use std::time::Duration;

/// The delays of one series of tries.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    cap: Duration,
}

impl Backoff {
    /// Delays that start at `first`, double, and stay at `cap`.
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self {
            next: first,
            first,
            cap,
        }
    }

    /// What internal clients use: 100 ms to 2 s.
    pub const fn internal() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(2))
    }

    /// The next delay: between half and all of the current step, so that many clients spread out.
    pub fn next_delay(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.cap);
        step.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Sleeps for the next delay.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_stay_jittered() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for expected in [100, 200, 400, 800, 1000, 1000] {
            let delay = backoff.next_delay().as_millis();
            assert!(
                (expected / 2..=expected).contains(&delay),
                "{delay} of {expected}"
            );
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(100));
    }
}
