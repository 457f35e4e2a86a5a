//! A segment's bytes on their way: cut into messages by who sends, put together by who asked.

use bytes::{Bytes, BytesMut};
use types::ByteCount;

use super::{MAX_CHUNK, is_frame};

/// The next message of a segment's bytes, which are not empty: as long as allowed, and never one that the
/// other side would take for a command.
pub fn chunk(rest: &Bytes, max: usize) -> Bytes {
    let max = max.clamp(2, MAX_CHUNK).min(rest.len());
    let chunk = rest.slice(..max);
    if is_frame(&chunk) {
        // One byte less no longer ends as a frame does.
        return chunk.slice(..max - 1);
    }
    chunk
}

/// Why what came is not what was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// More than anybody's segment.
    #[error("segment of {size} bytes is longer than {most}")]
    TooLarge {
        /// As announced.
        size: u64,
        /// As allowed.
        most: u64,
    },
    /// More bytes than announced.
    #[error("more than the announced {0} bytes came")]
    Overflow(u64),
    /// Fewer bytes than announced.
    #[error("{found} of the announced {size} bytes came")]
    Short {
        /// As announced.
        size: u64,
        /// As came.
        found: u64,
    },
}

/// A segment that is coming in.
#[derive(Debug)]
pub struct Transfer {
    size: u64,
    bytes: BytesMut,
}

impl Transfer {
    /// Of as many bytes as the other side announced. Nothing is reserved for what has not come.
    pub fn new(size: ByteCount, most: ByteCount) -> Result<Self, TransferError> {
        let (size, most) = (size.get(), most.get());
        if size > most {
            return Err(TransferError::TooLarge { size, most });
        }
        Ok(Self {
            size,
            bytes: BytesMut::new(),
        })
    }

    /// How many came.
    pub fn received(&self) -> ByteCount {
        ByteCount::new(self.bytes.len() as u64)
    }

    /// Takes a message.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), TransferError> {
        if (self.bytes.len() + chunk.len()) as u64 > self.size {
            return Err(TransferError::Overflow(self.size));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// What has come, from the beginning, of what is given up.
    pub fn into_received(self) -> Bytes {
        self.bytes.freeze()
    }

    /// The other side says that this was all.
    pub fn finish(self) -> Result<Bytes, TransferError> {
        let found = self.bytes.len() as u64;
        if found != self.size {
            return Err(TransferError::Short {
                size: self.size,
                found,
            });
        }
        Ok(self.bytes.freeze())
    }
}
