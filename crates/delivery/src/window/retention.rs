//! How long segments stay: in the playlist, and served after that (RFC 8216bis §6.2.2).

use types::{Epoch, MediaTime, Timescale};

use super::Window;

/// The least that a playlist spans (design §2).
const MIN_WINDOW: MediaTime = MediaTime::from_millis(30_000);
/// The same in target durations.
const WINDOW_TARGETS: i64 = 6;

impl Window {
    fn window(&self) -> MediaTime {
        let targets = MediaTime::from_millis(
            i64::from(self.playlist.target_duration) * 1000 * WINDOW_TARGETS,
        );
        targets.max(MIN_WINDOW)
    }

    /// Lets the oldest segments leave the playlist, and later the memory.
    pub(super) fn slide(&mut self) {
        for segment in self.playlist.evict(self.window()) {
            self.retire(&segment);
        }
        // A player may hold the longest playlist that listed a segment, and then take its duration to ask.
        let keep = self.window().saturating_add(MediaTime::from_millis(
            i64::from(self.playlist.target_duration) * 1000,
        ));
        let zero = MediaTime::new(0, Timescale::VIDEO);
        let mut kept = self
            .retired
            .iter()
            .fold(zero, |sum, (_, duration)| sum.saturating_add(*duration));
        while let Some((msn, duration)) = self.retired.front().copied() {
            kept = kept.saturating_sub(duration);
            if kept < keep {
                break;
            }
            self.retired.pop_front();
            self.media.remove(&msn);
        }
        let oldest = self
            .media
            .values()
            .map(|segment| segment.epoch)
            .min()
            .unwrap_or(Epoch::ZERO);
        self.inits.retain(|((epoch, _), _)| *epoch >= oldest);
    }

    pub(super) fn retire(&mut self, segment: &hls::Segment) {
        if !segment.gap {
            self.retired
                .push_back((segment.msn, segment.duration_so_far()));
        }
    }

    pub(super) fn retire_all(&mut self) {
        while let Some(segment) = self.playlist.pop_front() {
            self.retire(&segment);
        }
    }
}
