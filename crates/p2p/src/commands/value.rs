//! Values of commands: numbers, lists of numbers that are close to one another, texts.

use types::Msn;

use super::Error;

const NUMBER: u8 = 0;
const NUMBERS: u8 = 1;
const TEXT: u8 = 2;
/// What a page can count to: 2^53 - 1.
const MAX_NUMBER: u64 = (1 << 53) - 1;
/// Numbers of a group share all but their lowest byte. 256 would overflow the count.
const MAX_GROUP: usize = 255;

/// A field's value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Numbers(Vec<u64>),
    /// No command has one that we read.
    Text,
}

/// Reads fields, and never beyond the command's end.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field, or `None` at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u8, Value)>, Error> {
        let Some(name) = self.byte() else {
            return Ok(None);
        };
        let head = *self.0.first().ok_or(Error::Cut)?;
        let value = match head >> 4 {
            NUMBER => Value::Number(self.number()?),
            NUMBERS => Value::Numbers(self.numbers()?),
            TEXT => self.text()?,
            kind => return Err(Error::Kind(kind)),
        };
        Ok(Some((name, value)))
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Error::Cut)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Big endian behind its length; the highest bit is the sign, and nothing that we read is negative.
    fn number(&mut self) -> Result<u64, Error> {
        let head = self.byte().ok_or(Error::Cut)?;
        if head >> 4 != NUMBER {
            return Err(Error::Kind(head >> 4));
        }
        let bytes = self.take(usize::from(head & 0x0f))?;
        let (first, _) = bytes.split_first().ok_or(Error::Number)?;
        if bytes.len() > 8 || first & 0x80 != 0 {
            return Err(Error::Number);
        }
        let number = bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        (number <= MAX_NUMBER)
            .then_some(number)
            .ok_or(Error::Number)
    }

    fn numbers(&mut self) -> Result<Vec<u64>, Error> {
        let [_, groups] = self.take(2)? else {
            return Err(Error::Cut);
        };
        let mut numbers = Vec::new();
        for _ in 0..*groups {
            let head = self.number()?;
            let low = self.take((head & 0xff) as usize)?;
            numbers.extend(low.iter().map(|low| head & !0xff | u64::from(*low)));
        }
        Ok(numbers)
    }

    fn text(&mut self) -> Result<Value, Error> {
        let [head, low] = self.take(2)? else {
            return Err(Error::Cut);
        };
        self.take(usize::from(head & 0x0f) << 8 | usize::from(*low))?;
        Ok(Value::Text)
    }
}

/// Writes a field that is a number.
pub(super) fn number(bytes: &mut Vec<u8>, name: u8, number: u64) {
    bytes.push(name);
    plain(bytes, number);
}

/// The fewest bytes that leave the sign's bit clear.
fn plain(bytes: &mut Vec<u8>, number: u64) {
    let bits = u64::BITS - number.leading_zeros() + 1;
    let length = bits.div_ceil(8).min(8);
    bytes.push(NUMBER << 4 | length as u8);
    bytes.extend((0..length).rev().map(|index| (number >> (8 * index)) as u8));
}

/// Writes a field that is a list of numbers; none when it is empty, as pages do.
pub(super) fn numbers(bytes: &mut Vec<u8>, name: u8, numbers: &[Msn]) {
    if numbers.is_empty() {
        return;
    }
    let mut sorted: Vec<u64> = numbers.iter().map(|msn| msn.get()).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let groups: Vec<&[u64]> = sorted
        .chunk_by(|a, b| a >> 8 == b >> 8)
        .flat_map(|group| group.chunks(MAX_GROUP))
        .take(MAX_GROUP)
        .collect();
    bytes.extend_from_slice(&[name, NUMBERS << 4, groups.len() as u8]);
    for group in groups {
        let common = group.first().map_or(0, |first| first & !0xff);
        plain(bytes, common | group.len() as u64);
        bytes.extend(group.iter().map(|number| *number as u8));
    }
}
