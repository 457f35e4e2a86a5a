//! What the three video parsers share: picture size and frame rate, checked for sanity.

use crate::{ConfigError, FrameRate};

/// The largest width or height: level 6.2 of every codec stays below.
const MAX_SIZE: u32 = 16_384;
/// Declared frame rates above this are mistakes (a timescale in the wrong field), not streams.
const MAX_FRAME_RATE: u64 = 300;

/// Refuses a side of zero or of more than 16384 pixels.
pub(crate) fn check_size(
    record: &'static str,
    field: &'static str,
    size: Option<u32>,
) -> Result<u32, ConfigError> {
    let size = size.unwrap_or(0);
    if (1..=MAX_SIZE).contains(&size) {
        return Ok(size);
    }
    Err(ConfigError::Invalid {
        record,
        field,
        value: u64::from(size),
    })
}

/// `ticks` a second over `per_frame` ticks a frame, reduced; `None` unless between 1 and 300 a second,
/// for a declared rate is a hint and a wrong one must not refuse the stream.
pub(crate) fn frame_rate(ticks: u64, per_frame: u64) -> Option<FrameRate> {
    if per_frame == 0 || ticks < per_frame || ticks / per_frame > MAX_FRAME_RATE {
        return None;
    }
    let divisor = greatest_common_divisor(ticks, per_frame);
    Some(FrameRate {
        numerator: u32::try_from(ticks / divisor).ok()?,
        denominator: u32::try_from(per_frame / divisor).ok()?,
    })
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// What a video parser finds out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frame_rate: Option<FrameRate>,
    pub(crate) codec_string: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_reduced_and_absurd_ones_dropped() {
        let ntsc = FrameRate {
            numerator: 30_000,
            denominator: 1001,
        };
        assert_eq!(frame_rate(60_000, 2002), Some(ntsc));
        assert_eq!(frame_rate(90_000, 1), None);
        assert_eq!(frame_rate(1, 0), None);
        assert_eq!(frame_rate(1, 2), None);
    }
}
