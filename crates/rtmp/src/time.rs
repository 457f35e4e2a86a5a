//! Timestamps: RTMP's 32 bits wrap after 49.7 days, ours don't.

/// Unwraps one track's timestamps into milliseconds that go on over the wrap. Jumps back, as of
/// reordered or restarted tracks, stay jumps back.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimestampUnwrapper {
    last: Option<(u32, i64)>,
}

impl TimestampUnwrapper {
    /// An unwrapper whose first timestamp stands for itself.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// An unwrapper whose first timestamp is taken as near `millis`: for a track that starts late.
    pub const fn near(millis: i64) -> Self {
        Self {
            last: Some((millis as u32, millis)),
        }
    }

    /// The time that `timestamp` means, in milliseconds: the one nearest to the last.
    pub const fn unwrap(&mut self, timestamp: u32) -> i64 {
        let millis = match self.last {
            None => timestamp as i64,
            Some((last, millis)) => {
                millis.saturating_add(timestamp.wrapping_sub(last).cast_signed() as i64)
            }
        };
        self.last = Some((timestamp, millis));
        millis
    }

    /// The last time unwrapped, in milliseconds.
    pub const fn last(&self) -> Option<i64> {
        match self.last {
            Some((_, millis)) => Some(millis),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_over_the_wrap_and_small_steps_back_stay_small() {
        let mut unwrapper = TimestampUnwrapper::new();
        assert_eq!(unwrapper.unwrap(0xffff_fff0), 0xffff_fff0);
        assert_eq!(unwrapper.unwrap(0x10), 0x1_0000_0010);
        assert_eq!(unwrapper.unwrap(0xffff_fffe), 0xffff_fffe);
        assert_eq!(unwrapper.unwrap(0x20), 0x1_0000_0020);
    }

    #[test]
    fn a_late_track_joins_the_others_time() {
        let mut unwrapper = TimestampUnwrapper::near(0x1_0000_0010);
        assert_eq!(unwrapper.unwrap(0xffff_fff8), 0xffff_fff8);
    }
}
