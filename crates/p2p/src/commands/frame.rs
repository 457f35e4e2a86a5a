//! Frames: how a message of a data channel says that it is a command, or a part of one.
//!
//! `cstr` command `cend`; one that is too long goes as `cstr` … `dend`, `dstr` … `dend`, `dstr` … `cend`.

use super::{Error, MAX_COMMAND};

/// The longest message: frame, or bytes of a segment.
pub const MAX_CHUNK: usize = 65_535;

const MARK: usize = 4;
const START: &[u8; MARK] = b"cstr";
const END: &[u8; MARK] = b"cend";
const GO_ON: &[u8; MARK] = b"dstr";
const PAUSE: &[u8; MARK] = b"dend";

/// Splits a message into its marks and what is between; `None` when it is no frame, but bytes of a segment.
fn split(message: &[u8]) -> Option<(&[u8; MARK], &[u8], &[u8; MARK])> {
    let start = message.first_chunk::<MARK>()?;
    let end = message.last_chunk::<MARK>()?;
    let framed = [START, GO_ON].contains(&start) && [END, PAUSE].contains(&end);
    let inner = message.get(MARK..message.len().checked_sub(MARK)?)?;
    framed.then_some((start, inner, end))
}

/// Whether a peer takes this message for a command.
pub fn is_frame(message: &[u8]) -> bool {
    // Pages compare the first and the last four bytes, which in a message of less than eight overlap.
    let starts = [START, GO_ON].iter().any(|mark| message.starts_with(*mark));
    starts && [END, PAUSE].iter().any(|mark| message.ends_with(*mark))
}

pub(super) fn frames(command: &[u8], max: usize) -> Vec<Vec<u8>> {
    let room = max.saturating_sub(2 * MARK).max(1);
    let count = command.len().div_ceil(room);
    let pieces = command.chunks(room).enumerate().map(|(index, piece)| {
        let start = if index == 0 { START } else { GO_ON };
        let end = if index + 1 == count { END } else { PAUSE };
        [start.as_slice(), piece, end].concat()
    });
    pieces.collect()
}

/// Puts commands together from their frames. Keeps at most [`MAX_COMMAND`] bytes.
#[derive(Debug, Default)]
pub struct Joiner {
    begun: Option<Vec<u8>>,
}

impl Joiner {
    /// Takes a message for which [`is_frame`] holds; a whole command, without frames, when it was the last.
    pub fn push(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let (start, inner, end) = split(message).ok_or(Error::Cut)?;
        let mut command = match (self.begun.take(), start == START) {
            (None, true) => Vec::new(),
            (Some(begun), false) => begun,
            _ => return Err(Error::OutOfOrder),
        };
        if command.len() + inner.len() > MAX_COMMAND {
            return Err(Error::TooLong);
        }
        command.extend_from_slice(inner);
        if end == END {
            return Ok(Some(command));
        }
        self.begun = Some(command);
        Ok(None)
    }
}
