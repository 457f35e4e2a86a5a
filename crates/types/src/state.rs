//! The lifecycle of a stream: `ready → live → offline → (live | archived)`, driven by what ingest sees;
//! by its owner's choice through `testing`, a rehearsal that only the owner can watch.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// Never published yet.
    Ready,
    /// Being published, for its owner's eyes only.
    Testing,
    /// A publisher is there, or was within the grace period.
    Live,
    /// It was live, and ended.
    Offline,
    /// Put away by its owner: not to be published any more.
    Archived,
}

/// A move that the lifecycle doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream that is {from} can't become {to}; allowed: {}", from.allowed())]
pub struct InvalidTransition {
    from: StreamState,
    to: StreamState,
}

impl StreamState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Ready,
        Self::Testing,
        Self::Live,
        Self::Offline,
        Self::Archived,
    ];

    /// The name, as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Testing => "testing",
            Self::Live => "live",
            Self::Offline => "offline",
            Self::Archived => "archived",
        }
    }

    /// The moves there are from here.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Ready => &[Self::Live, Self::Testing],
            Self::Testing => &[Self::Live, Self::Offline],
            Self::Live => &[Self::Offline],
            Self::Offline => &[Self::Live, Self::Testing, Self::Archived],
            Self::Archived => &[],
        }
    }

    fn allowed(self) -> String {
        if self.next().is_empty() {
            return "nothing".to_owned();
        }
        let names: Vec<&str> = self.next().iter().map(|state| state.as_str()).collect();
        names.join(", ")
    }

    /// Whether a publisher is there, or may return within the grace period.
    pub const fn is_on_air(self) -> bool {
        matches!(self, Self::Live | Self::Testing)
    }

    /// Moves on to `to`, or refuses by name.
    pub fn transition(self, to: Self) -> Result<Self, InvalidTransition> {
        if self.next().contains(&to) {
            Ok(to)
        } else {
            Err(InvalidTransition { from: self, to })
        }
    }
}

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stream's state is one of ready, testing, live, offline, archived")]
pub struct ParseStateError;

impl FromStr for StreamState {
    type Err = ParseStateError;

    fn from_str(text: &str) -> Result<Self, ParseStateError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(ParseStateError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_go_live_and_offline_and_live_again() {
        let mut state = StreamState::Ready;
        for next in [
            StreamState::Live,
            StreamState::Offline,
            StreamState::Testing,
            StreamState::Live,
            StreamState::Offline,
            StreamState::Archived,
        ] {
            state = state.transition(next).unwrap();
        }
    }

    #[test]
    fn an_invalid_move_is_refused_by_name() {
        let refused = |from: StreamState, to| from.transition(to).unwrap_err().to_string();
        assert_eq!(
            refused(StreamState::Ready, StreamState::Offline),
            "a stream that is ready can't become offline; allowed: live, testing"
        );
        assert_eq!(
            refused(StreamState::Archived, StreamState::Live),
            "a stream that is archived can't become live; allowed: nothing"
        );
    }

    #[test]
    fn every_state_has_a_name_that_reads_back() {
        for state in StreamState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
    }
}
