//! How long a part is: a whole number of frames, learnt from the first ones.

use media::FrameRate;

use super::SECOND;

/// Parts are as near to this as whole frames allow.
const PART_GOAL: i64 = SECOND / 3;
/// What times rounded to milliseconds, each off by one more, can add to a part.
const JITTER: i64 = 2 * MILLISECOND;
const MILLISECOND: i64 = SECOND / 1000;
/// A rate counts as one of the usual ones within this many percent.
const USUAL_WITHIN: i64 = 2;
/// Frame rates that streams have, as ticks a frame: 24, 25, 29.97, 30, 50, 59.94 and 60 a second.
const USUAL_FRAMES: [i64; 7] = [3750, 3600, 3003, 3000, 1800, 1501, 1500];

/// When to cut parts, in ticks of 90 kHz.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pacing {
    /// A frame's usual duration.
    pub(super) frame: i64,
    /// `PART-TARGET`: no part may be longer.
    pub(super) part_target: i64,
    /// A part that has this much is complete.
    pub(super) part_enough: i64,
}

impl Pacing {
    /// From the decode times of the first leading samples. What a stream declares is taken only where
    /// it agrees with what it does: encoders declare the rate they were asked for.
    pub(super) fn learn(times: &[i64], declared: Option<FrameRate>) -> Self {
        let declared = declared.map(|rate| {
            let frame = i64::from(rate.denominator) * SECOND / i64::from(rate.numerator.max(1));
            frame.clamp(SECOND / 1000, 2 * SECOND)
        });
        let near =
            |frame: i64, measured: i64| (frame - measured).abs() * 100 <= measured * USUAL_WITHIN;
        let frame = match measure(times) {
            None => declared.unwrap_or(SECOND / 30),
            Some(measured) => declared
                .filter(|frame| near(*frame, measured))
                .or_else(|| {
                    let usual = USUAL_FRAMES.into_iter();
                    usual
                        .filter(|frame| near(*frame, measured))
                        .min_by_key(|frame| (frame - measured).abs())
                })
                .unwrap_or(measured),
        };
        let frames = ((PART_GOAL + frame / 2) / frame).max(1);
        let exact = frames * frame;
        let part_target = (exact + MILLISECOND - 1) / MILLISECOND * MILLISECOND + JITTER;
        Self {
            frame,
            part_target,
            // Half a frame early for jitter, but never below what a part must have (RFC 8216bis
            // §4.4.4.9: 85 %), which long frames would get to.
            part_enough: (exact - frame / 2).max(part_target * 85 / 100 + 1),
        }
    }
}

/// The mean distance of times, without those that are far from the median: a start often stutters.
fn measure(times: &[i64]) -> Option<i64> {
    let mut steps: Vec<_> = times
        .iter()
        .zip(times.iter().skip(1))
        .map(|(earlier, later)| later.saturating_sub(*earlier))
        .filter(|step| (SECOND / 1000..=2 * SECOND).contains(step))
        .collect();
    steps.sort_unstable();
    let median = *steps.get(steps.len() / 2)?;
    steps.retain(|step| (step - median).abs() <= median / 2);
    let sum: i64 = steps.iter().sum();
    Some(sum / steps.len().max(1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rate(numerator: u32, denominator: u32) -> FrameRate {
        FrameRate {
            numerator,
            denominator,
        }
    }

    #[test]
    fn thirty_frames_a_second_make_parts_of_ten() {
        let times: Vec<_> = (0..16).map(|i| i * 100 / 3 * 90).collect();
        let pacing = Pacing::learn(&times, None);
        assert_eq!(pacing.frame, 3000);
        assert_eq!(pacing.part_target, 336 * 90);
        assert_eq!(pacing.part_enough, 28_500);
    }

    #[test]
    fn a_declared_rate_counts_only_where_it_agrees() {
        let times: Vec<_> = (0..16).map(|i| i * 3000).collect();
        assert_eq!(Pacing::learn(&times, Some(rate(30_000, 1001))).frame, 3003);
        assert_eq!(Pacing::learn(&times, Some(rate(1, 1))).frame, 3000);
        assert_eq!(Pacing::learn(&[], Some(rate(25, 1))).frame, 3600);
        assert_eq!(Pacing::learn(&[], None).frame, 3000);
    }

    #[test]
    fn a_stutter_at_the_start_is_not_the_rate() {
        let times = [0, 60_000, 63_000, 66_000, 69_000, 72_000];
        assert_eq!(Pacing::learn(&times, None).frame, 3000);
    }
}
