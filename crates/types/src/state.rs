//! The lifecycle of a stream: `ready → live → offline → live`, driven by what ingest sees.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// Never published yet.
    Ready,
    /// A publisher is there, or was within the grace period.
    Live,
    /// It was live, and ended.
    Offline,
}

/// A move that the lifecycle doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream that is {from} can't become {to}; allowed: {}", allowed(*from))]
pub struct InvalidTransition {
    from: StreamState,
    to: StreamState,
}

fn allowed(from: StreamState) -> &'static str {
    match from {
        StreamState::Ready | StreamState::Offline => "live",
        StreamState::Live => "offline",
    }
}

impl StreamState {
    /// The name, as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Live => "live",
            Self::Offline => "offline",
        }
    }

    /// Moves on to `to`, or refuses by name.
    pub fn transition(self, to: Self) -> Result<Self, InvalidTransition> {
        match (self, to) {
            (Self::Ready | Self::Offline, Self::Live) | (Self::Live, Self::Offline) => Ok(to),
            _ => Err(InvalidTransition { from: self, to }),
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
#[error("a stream's state is one of ready, live, offline")]
pub struct ParseStateError;

impl FromStr for StreamState {
    type Err = ParseStateError;

    fn from_str(text: &str) -> Result<Self, ParseStateError> {
        match text {
            "ready" => Ok(Self::Ready),
            "live" => Ok(Self::Live),
            "offline" => Ok(Self::Offline),
            _ => Err(ParseStateError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_go_live_and_offline_and_live_again() {
        let mut state = StreamState::Ready;
        for next in [StreamState::Live, StreamState::Offline, StreamState::Live] {
            state = state.transition(next).unwrap();
        }
    }

    #[test]
    fn an_invalid_move_is_refused_by_name() {
        let error = StreamState::Ready
            .transition(StreamState::Offline)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "a stream that is ready can't become offline; allowed: live"
        );
    }
}
