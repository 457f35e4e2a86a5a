//! A bounded bit reader, exp-Golomb codes, and the removal of emulation prevention bytes.
//!
//! Every read is checked: past the end is [`ConfigError::Truncated`], never a panic.

use crate::ConfigError;

/// Reads bits, most significant first. Knows the record's name for its errors.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Position in bits.
    position: usize,
    record: &'static str,
}

impl<'a> BitReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], record: &'static str) -> Self {
        Self {
            bytes,
            position: 0,
            record,
        }
    }

    fn truncated(&self) -> ConfigError {
        ConfigError::Truncated {
            record: self.record,
        }
    }

    /// The error for a `field` of this record that holds `value`.
    pub(crate) fn invalid(&self, field: &'static str, value: impl Into<u64>) -> ConfigError {
        ConfigError::Invalid {
            record: self.record,
            field,
            value: value.into(),
        }
    }

    /// One bit.
    pub(crate) fn flag(&mut self) -> Result<bool, ConfigError> {
        let byte = self.bytes.get(self.position / 8);
        let byte = byte.ok_or_else(|| self.truncated())?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Ok(bit == 1)
    }

    /// `count` bits, at most 32.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32, ConfigError> {
        debug_assert!(count <= 32, "a u32 holds 32 bits");
        let mut value = 0_u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// Eight bits.
    pub(crate) fn byte(&mut self) -> Result<u8, ConfigError> {
        Ok(self.bits(8)? as u8)
    }

    /// Leaves out `count` bits.
    pub(crate) fn skip(&mut self, count: usize) -> Result<(), ConfigError> {
        let position = self.position.saturating_add(count);
        if position > self.bytes.len().saturating_mul(8) {
            return Err(self.truncated());
        }
        self.position = position;
        Ok(())
    }

    /// `count` whole bytes; the position must be at a byte boundary.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], ConfigError> {
        debug_assert!(self.position.is_multiple_of(8), "at a byte boundary");
        let start = self.position / 8;
        let end = start.saturating_add(count);
        let bytes = self.bytes.get(start..end);
        let bytes = bytes.ok_or_else(|| self.truncated())?;
        self.position = end * 8;
        Ok(bytes)
    }

    /// Whole bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position.div_ceil(8))
    }

    /// An unsigned exp-Golomb code, `ue(v)` (ISO 14496-10 §9.1). AV1's `uvlc()` has the same shape.
    pub(crate) fn exp_golomb(&mut self, field: &'static str) -> Result<u32, ConfigError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(self.invalid(field, u64::from(u32::MAX)));
            }
        }
        let suffix = self.bits(zeros)?;
        Ok((1_u32 << zeros) - 1 + suffix)
    }

    /// [`Self::exp_golomb`], refused above `max`: what is counted in loops must be bounded.
    pub(crate) fn exp_golomb_max(
        &mut self,
        field: &'static str,
        max: u32,
    ) -> Result<u32, ConfigError> {
        let value = self.exp_golomb(field)?;
        if value > max {
            return Err(self.invalid(field, value));
        }
        Ok(value)
    }

    /// A signed exp-Golomb code, `se(v)` (ISO 14496-10 §9.1.1).
    pub(crate) fn signed_exp_golomb(&mut self, field: &'static str) -> Result<i64, ConfigError> {
        let code = i64::from(self.exp_golomb(field)?);
        Ok(if code % 2 == 0 {
            -(code / 2)
        } else {
            code / 2 + 1
        })
    }
}

/// A NAL unit without its emulation prevention bytes: each `00 00 03` becomes `00 00`
/// (ISO 14496-10 §7.4.1, ISO 23008-2 §7.4.2).
pub(crate) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_read_as_in_the_specification() {
        // 1, 010, 011, 00100, 00111 and padding.
        let bytes = [0b1010_0110, 0b0100_0011, 0b1000_0000];
        let mut reader = BitReader::new(&bytes, "test");
        let read: Vec<_> = (0..5).map(|_| reader.exp_golomb("x").unwrap()).collect();
        assert_eq!(read, [0, 1, 2, 3, 6]);
        let mut reader = BitReader::new(&bytes, "test");
        let read: Vec<_> = (0..5)
            .map(|_| reader.signed_exp_golomb("x").unwrap())
            .collect();
        assert_eq!(read, [0, 1, -1, 2, -3]);
    }

    #[test]
    fn an_endless_exp_golomb_prefix_is_refused() {
        let mut reader = BitReader::new(&[0; 16], "test");
        assert!(matches!(
            reader.exp_golomb("x"),
            Err(ConfigError::Invalid { field: "x", .. })
        ));
    }

    #[test]
    fn reading_past_the_end_is_truncation() {
        let mut reader = BitReader::new(&[0xff], "test");
        assert_eq!(reader.bits(8), Ok(255));
        assert_eq!(
            reader.bits(1),
            Err(ConfigError::Truncated { record: "test" })
        );
        assert!(reader.take(1).is_err());
        assert!(reader.skip(usize::MAX).is_err());
    }

    #[test]
    fn emulation_prevention_is_removed_once_per_escape() {
        assert_eq!(
            unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]),
            [0, 0, 1, 0, 0, 0, 0, 3]
        );
        assert_eq!(unescape(&[0, 3, 0, 3]), [0, 3, 0, 3]);
    }
}
