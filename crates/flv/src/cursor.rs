//! A reading position in a tag body; every read names the field it is for.

use bytes::Bytes;

use crate::{Error, FourCc};

/// Reads big-endian fields off the front of `bytes`, without copying.
pub(crate) struct Cursor {
    bytes: Bytes,
}

impl Cursor {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next `size` bytes, sharing the tag's storage.
    pub(crate) fn take(&mut self, size: usize, field: &'static str) -> Result<Bytes, Error> {
        if size > self.bytes.len() {
            return Err(Error::Truncated { field });
        }
        Ok(self.bytes.split_to(size))
    }

    /// All that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.bytes
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Error> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Error> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self, field: &'static str) -> Result<u32, Error> {
        let [a, b, c] = self.array(field)?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// SI24: the sign is the uppermost of the 24 bits.
    pub(crate) fn i24(&mut self, field: &'static str) -> Result<i32, Error> {
        let [a, b, c] = self.array(field)?;
        Ok(i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    pub(crate) fn four_cc(&mut self) -> Result<FourCc, Error> {
        self.array("FourCc").map(FourCc)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        let taken = self
            .bytes
            .first_chunk::<N>()
            .copied()
            .ok_or(Error::Truncated { field })?;
        bytes::Buf::advance(&mut self.bytes, N);
        Ok(taken)
    }
}
