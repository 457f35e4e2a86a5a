//! One timeline per stream, whatever its publishers' clocks do. Pure.
//!
//! A publisher's times start anywhere, jump, and start over when it returns. The stream's timeline goes
//! on without a hole and never back; where it does not continue what was before, that is a
//! discontinuity.

/// Forward jumps beyond this are no lost frames, but another time. Milliseconds.
const MAX_FORWARD_MS: i64 = 5_000;
/// Backward steps within this are interleaving of audio and video. Milliseconds.
const MAX_BACKWARD_MS: i64 = 2_000;
/// Where the timeline goes on after a break: about a frame later. Milliseconds.
const STEP_MS: i64 = 40;

/// The timeline of a stream, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// Stream time minus publisher time; `None` until the next sample fixes it.
    offset: Option<i64>,
    /// The latest stream time given out.
    last: Option<i64>,
    /// Where it begins.
    first: i64,
}

/// A publisher's time on the stream's timeline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) stream_ms: i64,
    /// Whether it doesn't continue what was before.
    pub(crate) discontinuity: bool,
}

impl Timeline {
    /// Another publisher begins: its times mean nothing yet.
    pub(crate) fn restart(&mut self) {
        self.offset = None;
    }

    /// It begins at `first_ms`: what came before it was elsewhere.
    pub(crate) fn begin_at(&mut self, first_ms: i64) {
        self.first = first_ms.max(0);
    }

    /// The latest stream time given out; zero before the first.
    pub(crate) fn last_ms(&self) -> i64 {
        self.last.unwrap_or(0)
    }

    /// Whether a sample was placed.
    pub(crate) fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// Places a publisher's decode time.
    pub(crate) fn place(&mut self, publisher_ms: i64) -> Placed {
        let continued = self.offset.and_then(|offset| {
            let stream_ms = publisher_ms.saturating_add(offset);
            let ahead = stream_ms.saturating_sub(self.last?);
            (-MAX_BACKWARD_MS..=MAX_FORWARD_MS)
                .contains(&ahead)
                .then_some(stream_ms.max(0))
        });
        let (stream_ms, discontinuity) = match (continued, self.last) {
            (Some(stream_ms), _) => (stream_ms, false),
            (None, None) => (self.first, false),
            (None, Some(last)) => (last.saturating_add(STEP_MS), true),
        };
        if continued.is_none() {
            self.offset = Some(stream_ms.saturating_sub(publisher_ms));
        }
        self.last = Some(self.last.map_or(stream_ms, |last| last.max(stream_ms)));
        Placed {
            stream_ms,
            discontinuity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(stream_ms: i64, discontinuity: bool) -> Placed {
        Placed {
            stream_ms,
            discontinuity,
        }
    }

    #[test]
    fn a_stream_starts_at_zero_wherever_its_publisher_does() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.place(5_000_000), placed(0, false));
        assert_eq!(timeline.place(5_000_033), placed(33, false));
        assert_eq!(
            timeline.place(5_000_021),
            placed(21, false),
            "audio between the pictures"
        );
    }

    #[test]
    fn a_stream_that_began_elsewhere_goes_on_in_its_time() {
        let mut timeline = Timeline::default();
        timeline.begin_at(60_000);
        assert_eq!(timeline.place(7), placed(60_000, false));
        assert_eq!(timeline.place(40), placed(60_033, false));
    }

    #[test]
    fn a_publisher_that_returns_goes_on_behind_the_last_sample() {
        let mut timeline = Timeline::default();
        timeline.place(0);
        timeline.place(1000);
        timeline.restart();
        assert_eq!(timeline.place(0), placed(1040, true));
        assert_eq!(timeline.place(33), placed(1073, false));
    }

    #[test]
    fn jumps_are_discontinuities_and_never_go_back() {
        let mut timeline = Timeline::default();
        timeline.place(0);
        timeline.place(100);
        assert_eq!(timeline.place(1_000_000), placed(140, true));
        assert_eq!(timeline.place(1_000_033), placed(173, false));
        assert_eq!(timeline.place(0), placed(213, true));
    }
}
