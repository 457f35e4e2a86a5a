//! The commands of p2p-media-loader 2: what peers say through a data channel, beside the segments' bytes.
//!
//! A message is either a frame, see [`frame`](self::Joiner), or bytes of the segment that is being sent. Each
//! command is a byte that names it and fields, each a letter and a value. Segments go by their media sequence
//! number. One download per link at a time; a new request cancels what is running.

mod frame;
mod transfer;
mod value;

use types::{ByteCount, Msn};

pub use frame::{Joiner, MAX_CHUNK, is_frame};
pub use transfer::{Transfer, TransferError, chunk};
use value::{Reader, Value};

/// The longest command, all its frames together. An announcement of a thousand segments takes a twentieth.
pub const MAX_COMMAND: usize = 32 * 1024;

/// Names a request on a link: pages draw 0 to 999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub u32);

/// What a peer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// All that it has: sent at first and at every change.
    Announcement {
        /// Segments that can be requested.
        loaded: Vec<Msn>,
        /// Segments that it is getting from a server.
        loading: Vec<Msn>,
    },
    /// It wants a segment.
    Request {
        /// The segment.
        segment: Msn,
        /// Names the request.
        request: RequestId,
        /// It has so many bytes already, and wants the rest.
        offset: ByteCount,
    },
    /// The bytes of a segment follow, until [`Command::Completed`].
    Data {
        /// The segment.
        segment: Msn,
        /// Of the request.
        request: RequestId,
        /// How many follow.
        size: ByteCount,
    },
    /// All bytes were sent.
    Completed {
        /// The segment.
        segment: Msn,
        /// Of the request.
        request: RequestId,
    },
    /// It has no such segment.
    Absent {
        /// The segment.
        segment: Msn,
        /// Of the request.
        request: RequestId,
    },
    /// It wants the segment no longer.
    Cancel {
        /// The segment.
        segment: Msn,
        /// Of the request.
        request: RequestId,
    },
}

/// Why bytes are no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Longer than [`MAX_COMMAND`].
    #[error("command is longer than {MAX_COMMAND} bytes")]
    TooLong,
    /// A frame that doesn't begin or go on with a command.
    #[error("frame is out of order")]
    OutOfOrder,
    /// It ends within a value.
    #[error("command is cut")]
    Cut,
    /// A value of a kind that isn't known.
    #[error("value has the unknown kind {0}")]
    Kind(u8),
    /// A number that is negative, or beyond what a page can count.
    #[error("number is out of range")]
    Number,
    /// A command that isn't known.
    #[error("command {0} is unknown")]
    Unknown(u8),
    /// A field that the command needs.
    #[error("field {0} is missing")]
    Missing(char),
}

const ANNOUNCEMENT: u8 = 0;
const REQUEST: u8 = 1;
const DATA: u8 = 2;
const COMPLETED: u8 = 3;
const ABSENT: u8 = 4;
const CANCEL: u8 = 5;

/// The fields that commands have. Others are passed over.
#[derive(Default)]
struct Fields {
    loaded: Vec<u64>,
    loading: Vec<u64>,
    segment: Option<u64>,
    request: Option<u64>,
    offset: Option<u64>,
    size: Option<u64>,
}

impl Fields {
    fn read(mut reader: Reader<'_>) -> Result<Self, Error> {
        let mut fields = Self::default();
        while let Some((name, value)) = reader.field()? {
            match (name, value) {
                (b'l', Value::Numbers(numbers)) => fields.loaded = numbers,
                (b'p', Value::Numbers(numbers)) => fields.loading = numbers,
                (b'i', Value::Number(number)) => fields.segment = Some(number),
                (b'r', Value::Number(number)) => fields.request = Some(number),
                (b'b', Value::Number(number)) => fields.offset = Some(number),
                (b's', Value::Number(number)) => fields.size = Some(number),
                _ => {}
            }
        }
        Ok(fields)
    }

    fn segment(&self) -> Result<(Msn, RequestId), Error> {
        let segment = self.segment.ok_or(Error::Missing('i'))?;
        let request = self.request.ok_or(Error::Missing('r'))?;
        let request = u32::try_from(request).map_err(|_| Error::Number)?;
        Ok((Msn::new(segment), RequestId(request)))
    }
}

impl Command {
    /// Reads a command without its frames.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_COMMAND {
            return Err(Error::TooLong);
        }
        let (kind, rest) = bytes.split_first().ok_or(Error::Cut)?;
        if *kind > CANCEL {
            return Err(Error::Unknown(*kind));
        }
        let fields = Fields::read(Reader::new(rest))?;
        if *kind == ANNOUNCEMENT {
            let msns = |ids: Vec<u64>| ids.into_iter().map(Msn::new).collect();
            return Ok(Self::Announcement {
                loaded: msns(fields.loaded),
                loading: msns(fields.loading),
            });
        }
        let (segment, request) = fields.segment()?;
        Ok(match *kind {
            REQUEST => Self::Request {
                segment,
                request,
                offset: ByteCount::new(fields.offset.unwrap_or_default()),
            },
            DATA => Self::Data {
                segment,
                request,
                size: ByteCount::new(fields.size.ok_or(Error::Missing('s'))?),
            },
            COMPLETED => Self::Completed { segment, request },
            ABSENT => Self::Absent { segment, request },
            _ => Self::Cancel { segment, request },
        })
    }

    /// Its frames, one message each.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        frame::frames(&self.encode(), MAX_CHUNK)
    }

    fn encode(&self) -> Vec<u8> {
        let (kind, segment, request) = match self {
            Self::Announcement { loaded, loading } => {
                let mut bytes = vec![ANNOUNCEMENT];
                value::numbers(&mut bytes, b'l', loaded);
                value::numbers(&mut bytes, b'p', loading);
                return bytes;
            }
            Self::Request {
                segment, request, ..
            } => (REQUEST, segment, request),
            Self::Data {
                segment, request, ..
            } => (DATA, segment, request),
            Self::Completed { segment, request } => (COMPLETED, segment, request),
            Self::Absent { segment, request } => (ABSENT, segment, request),
            Self::Cancel { segment, request } => (CANCEL, segment, request),
        };
        let mut bytes = vec![kind];
        value::number(&mut bytes, b'i', segment.get());
        match self {
            Self::Data { size, .. } => value::number(&mut bytes, b's', size.get()),
            Self::Request { offset, .. } if offset.get() > 0 => {
                value::number(&mut bytes, b'b', offset.get());
            }
            _ => {}
        }
        value::number(&mut bytes, b'r', u64::from(request.0));
        bytes
    }
}

#[cfg(test)]
mod tests;
