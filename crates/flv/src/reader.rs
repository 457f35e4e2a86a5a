//! Reads an FLV byte stream as it arrives, for tests and clients.

use bytes::{Buf, Bytes, BytesMut};

use crate::{Error, MAX_TAG_SIZE, TAG_HEADER_SIZE, TagKind};

/// A tag as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTag {
    /// What it carries.
    pub kind: TagKind,
    /// Decode time in milliseconds modulo 2^32.
    pub timestamp: u32,
    /// The body.
    pub body: Bytes,
}

/// Cuts a byte stream into tags. Buffers at most one tag besides the bytes of one [`Reader::push`].
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    started: bool,
    skip: usize,
}

/// The largest `DataOffset` we follow; real files have 9.
const MAX_DATA_OFFSET: usize = 1024;
/// The bytes after each body.
const PREVIOUS_TAG_SIZE: usize = 4;

impl Reader {
    /// A reader at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes; take the tags they complete with [`Self::next_tag`].
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole tag, or `None` until more bytes come. Tags of unknown types are skipped.
    pub fn next_tag(&mut self) -> Result<Option<RawTag>, Error> {
        loop {
            let skipped = self.skip.min(self.buffer.len());
            self.buffer.advance(skipped);
            self.skip -= skipped;
            if self.skip > 0 {
                return Ok(None);
            }
            if !self.started {
                let Some(&[f, l, v, version, _, o1, o2, o3, o4]) = self.buffer.first_chunk() else {
                    return Ok(None);
                };
                if [f, l, v, version] != *b"FLV\x01" {
                    return Err(Error::Signature);
                }
                let offset = u32::from_be_bytes([o1, o2, o3, o4]) as usize;
                limit("DataOffset", offset, MAX_DATA_OFFSET)?;
                self.started = true;
                self.skip = offset.max(9) + PREVIOUS_TAG_SIZE;
                continue;
            }
            let Some(&[kind, s1, s2, s3, t1, t2, t3, t0, _, _, _]) =
                self.buffer.first_chunk::<TAG_HEADER_SIZE>()
            else {
                return Ok(None);
            };
            let size = u32::from_be_bytes([0, s1, s2, s3]) as usize;
            limit("DataSize", size, MAX_TAG_SIZE)?;
            if self.buffer.len() < TAG_HEADER_SIZE + size {
                return Ok(None);
            }
            self.buffer.advance(TAG_HEADER_SIZE);
            let body = self.buffer.split_to(size).freeze();
            self.skip = PREVIOUS_TAG_SIZE;
            if let Some(kind) = TagKind::from_id(kind) {
                return Ok(Some(RawTag {
                    kind,
                    timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
                    body,
                }));
            }
        }
    }
}

fn limit(field: &'static str, size: usize, max: usize) -> Result<(), Error> {
    if size > max {
        return Err(Error::TooLarge { field, size, max });
    }
    Ok(())
}
