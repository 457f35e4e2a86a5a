//! Media time: a count of ticks on a timescale, as ISO 14496-12 has it.

use std::{cmp::Ordering, num::NonZeroU32, time::Duration};

/// Ticks per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// Milliseconds: the clock of RTMP and FLV.
    pub const MILLIS: Self = Self(NonZeroU32::MIN.saturating_add(999));
    /// 90 kHz: the customary clock of video.
    pub const VIDEO: Self = Self(NonZeroU32::MIN.saturating_add(89_999));

    /// A timescale of `ticks` a second; `None` for zero.
    pub const fn new(ticks: u32) -> Option<Self> {
        match NonZeroU32::new(ticks) {
            Some(ticks) => Some(Self(ticks)),
            None => None,
        }
    }

    /// Ticks per second.
    pub const fn ticks(self) -> u32 {
        self.0.get()
    }
}

/// A point or a span on a media timeline; may be negative.
///
/// Equality and order compare the time meant, not its notation: 1 s in milliseconds equals 1 s at 90 kHz.
#[derive(Debug, Clone, Copy)]
pub struct MediaTime {
    ticks: i64,
    timescale: Timescale,
}

impl MediaTime {
    /// Zero, in milliseconds.
    pub const ZERO: Self = Self::from_millis(0);

    /// `ticks` on `timescale`.
    pub const fn new(ticks: i64, timescale: Timescale) -> Self {
        Self { ticks, timescale }
    }

    /// A time in milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self::new(millis, Timescale::MILLIS)
    }

    /// The ticks, on this time's own timescale.
    pub const fn ticks(self) -> i64 {
        self.ticks
    }

    /// The timescale of [`Self::ticks`].
    pub const fn timescale(self) -> Timescale {
        self.timescale
    }

    /// The same time in ticks of `timescale`, rounded to the nearest (half away from zero), saturating.
    pub fn rescale(self, timescale: Timescale) -> i64 {
        if self.timescale == timescale {
            return self.ticks;
        }
        let product = i128::from(self.ticks) * i128::from(timescale.ticks());
        let divisor = i128::from(self.timescale.ticks());
        let half = if product < 0 {
            -divisor / 2
        } else {
            divisor / 2
        };
        let rounded = (product + half) / divisor;
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }

    /// The same time in whole milliseconds, rounded.
    pub fn as_millis(self) -> i64 {
        self.rescale(Timescale::MILLIS)
    }

    /// The same time in seconds, for display and metrics.
    pub fn as_secs_f64(self) -> f64 {
        self.ticks as f64 / f64::from(self.timescale.ticks())
    }

    /// As wall-clock duration; negative times become zero.
    pub fn to_duration(self) -> Duration {
        let nanos =
            i128::from(self.ticks.max(0)) * 1_000_000_000 / i128::from(self.timescale.ticks());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// `self + other`, on `self`'s timescale, saturating.
    pub fn saturating_add(self, other: Self) -> Self {
        Self::new(
            self.ticks.saturating_add(other.rescale(self.timescale)),
            self.timescale,
        )
    }

    /// `self - other`, on `self`'s timescale, saturating.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self::new(
            self.ticks.saturating_sub(other.rescale(self.timescale)),
            self.timescale,
        )
    }
}

impl Ord for MediaTime {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = i128::from(self.ticks) * i128::from(other.timescale.ticks());
        let right = i128::from(other.ticks) * i128::from(self.timescale.ticks());
        left.cmp(&right)
    }
}

impl PartialOrd for MediaTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for MediaTime {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for MediaTime {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_moment_is_equal_on_any_timescale() {
        assert_eq!(
            MediaTime::from_millis(1000),
            MediaTime::new(90_000, Timescale::VIDEO)
        );
        assert!(MediaTime::from_millis(1001) > MediaTime::new(90_000, Timescale::VIDEO));
    }

    #[test]
    fn rescaling_rounds_to_the_nearest_tick() {
        let audio = Timescale::new(44_100).unwrap();
        assert_eq!(MediaTime::from_millis(23).rescale(audio), 1014);
        assert_eq!(MediaTime::new(1024, audio).as_millis(), 23);
        assert_eq!(MediaTime::new(-1024, audio).as_millis(), -23);
    }

    #[test]
    fn absurd_times_saturate() {
        let far = MediaTime::new(i64::MAX, Timescale::MILLIS);
        assert_eq!(far.rescale(Timescale::VIDEO), i64::MAX);
        assert_eq!(far.saturating_add(far).ticks(), i64::MAX);
    }
}
