//! Where a picture would be that nobody looks at.

use std::time::Duration;

use tokio::time::Instant;

use super::Habits;

/// Plays in real time what comes, and stands still while nothing is there.
#[derive(Debug)]
pub(super) struct Playhead {
    /// Media that is there before it begins to play.
    pub(super) ahead: Duration,
    came: Instant,
    first: Option<Instant>,
    began: Option<Instant>,
    buffered: Duration,
    /// How often it stood still.
    pub(super) stalls: u32,
    /// In all.
    pub(super) stalled: Duration,
}

impl Default for Playhead {
    fn default() -> Self {
        Self {
            ahead: Habits::default().ahead,
            came: Instant::now(),
            first: None,
            began: None,
            buffered: Duration::ZERO,
            stalls: 0,
            stalled: Duration::ZERO,
        }
    }
}

impl Playhead {
    /// More media is there.
    pub(super) fn add(&mut self, media: Duration) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        if let Some(began) = self.began {
            let played = now.duration_since(began).saturating_sub(self.stalled);
            let lacking = played.saturating_sub(self.buffered);
            if lacking > Duration::ZERO {
                self.stalls += 1;
                self.stalled += lacking;
            }
        }
        self.buffered += media;
        if self.began.is_none() && self.buffered >= self.ahead {
            self.began = Some(now);
        }
    }

    /// What is left to play; none before it plays.
    pub(super) fn left(&self) -> Option<Duration> {
        let played = self.began?.elapsed().saturating_sub(self.stalled);
        Some(self.buffered.saturating_sub(played))
    }

    /// How long ago the picture was made that is shown now; `age`: of the first, when it was added.
    pub(super) fn behind(&self, age: Duration) -> Option<Duration> {
        let waited = self.began?.duration_since(self.first?);
        Some(age + waited + self.stalled)
    }

    /// Until the first media was there.
    pub(super) fn startup(&self) -> Option<Duration> {
        self.first.map(|first| first.duration_since(self.came))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_stalls_when_nothing_is_left() {
        let mut playhead = Playhead::default();
        let ahead = playhead.ahead;
        playhead.add(ahead);
        playhead.began = playhead.began.map(|began| began - ahead * 2);
        playhead.add(ahead);
        assert_eq!(playhead.stalls, 1);
        assert!(playhead.stalled >= ahead, "{:?}", playhead.stalled);
        let stalled = playhead.stalled;
        playhead.add(ahead);
        assert_eq!((playhead.stalls, playhead.stalled), (1, stalled));
    }
}
