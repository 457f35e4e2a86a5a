//! Sums over time, and minutes. Knows nothing of whose bytes they are.

use super::MINUTE_MS;

pub(super) fn minute(at_ms: i64) -> i64 {
    at_ms.div_euclid(MINUTE_MS) * MINUTE_MS
}

/// How many minutes a time lasts that begins with a minute.
pub(super) fn minutes(first: i64, until_ms: i64) -> usize {
    usize::try_from((until_ms - first).div_euclid(MINUTE_MS) + 1).unwrap_or(0)
}

/// A sum over time, as it grows: bytes between two times, evenly.
#[derive(Debug, Clone, Default)]
pub(super) struct Growth(Vec<(i64, i64, u64)>);

impl Growth {
    pub(super) fn add(&mut self, from_ms: i64, to_ms: i64, bytes: u64) {
        if bytes > 0 {
            self.0.push((from_ms.min(to_ms), to_ms, bytes));
        }
    }

    /// The sum up to a time.
    pub(super) fn until(&self, at_ms: i64) -> u64 {
        let parts = self.0.iter().map(|(from, to, bytes)| {
            if at_ms >= *to {
                *bytes
            } else if at_ms <= *from {
                0
            } else {
                let part = u128::from(*bytes) * u128::from((at_ms - from).unsigned_abs())
                    / u128::from((to - from).unsigned_abs());
                u64::try_from(part).unwrap_or(u64::MAX)
            }
        });
        parts.fold(0, u64::saturating_add)
    }

    /// The sum up to the end of each minute from `first` on. Each part is looked at once per minute it lasts.
    pub(super) fn by_minute(&self, first: i64, minutes: usize) -> Vec<u64> {
        let mut sums = vec![0_u64; minutes];
        let place = |at: i64| usize::try_from((at - first).div_euclid(MINUTE_MS)).unwrap_or(0);
        for (from, to, bytes) in &self.0 {
            let part = Self(vec![(*from, *to, *bytes)]);
            let mut before = 0;
            // The last minute is the one by whose end all of it is there.
            for at in place((*from).min(*to - 1))..=place(*to - 1) {
                let Some(sum) = sums.get_mut(at) else {
                    break;
                };
                let end = first.saturating_add((at as i64 + 1).saturating_mul(MINUTE_MS));
                let until = part.until(end);
                *sum = sum.saturating_add(until - before);
                before = until;
            }
        }
        let mut all = 0_u64;
        for sum in &mut sums {
            all = all.saturating_add(*sum);
            *sum = all;
        }
        sums
    }

    pub(super) fn total(&self) -> u64 {
        let bytes = self.0.iter().map(|(_, _, bytes)| *bytes);
        bytes.fold(0, u64::saturating_add)
    }

    pub(super) fn span(&self) -> Option<(i64, i64)> {
        let from = self.0.iter().map(|(from, _, _)| *from).min()?;
        let to = self.0.iter().map(|(_, to, _)| *to).max()?;
        Some((from, to))
    }
}
