//! Reads AMF0 within bounds: a nested or endless value is an error, never a deep stack or a large heap.

use super::{Value, marker};
use crate::Error;

/// How deep objects and arrays may nest.
pub const MAX_DEPTH: usize = 32;
/// Keys of one object, elements of one array.
pub const MAX_ELEMENTS: usize = 256;
/// Values in one message.
pub const MAX_VALUES: usize = 2048;

/// Bytes of one message in AMF0.
pub const MAX_SIZE: usize = 256 * 1024;

/// Reads values until `bytes` end.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    limit("amf0 bytes", bytes.len(), MAX_SIZE)?;
    let mut reader = Reader { bytes, values: 0 };
    let mut values = Vec::new();
    while !reader.bytes.is_empty() {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

struct Reader<'a> {
    bytes: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.values += 1;
        limit("amf0 values", self.values, MAX_VALUES)?;
        limit("amf0 depth", depth, MAX_DEPTH)?;
        let [kind] = self.array("amf0 marker")?;
        Ok(match kind {
            marker::NUMBER => Value::Number(self.f64()?),
            marker::BOOLEAN => {
                let [byte] = self.array("amf0 boolean")?;
                Value::Boolean(byte != 0)
            }
            marker::STRING => Value::String(self.short_text()?),
            marker::LONG_STRING | marker::XML_DOCUMENT => Value::String(self.long_text()?),
            marker::OBJECT => Value::Object(self.pairs(depth)?),
            marker::TYPED_OBJECT => {
                self.short_text()?;
                Value::Object(self.pairs(depth)?)
            }
            marker::ECMA_ARRAY => {
                // The count is a hint that encoders get wrong; the end marker counts.
                self.array::<4>("amf0 array count")?;
                Value::EcmaArray(self.pairs(depth)?)
            }
            marker::STRICT_ARRAY => Value::StrictArray(self.elements(depth)?),
            marker::NULL | marker::UNSUPPORTED => Value::Null,
            marker::UNDEFINED => Value::Undefined,
            marker::DATE => {
                let millis = self.f64()?;
                self.array::<2>("amf0 time zone")?;
                Value::Date(millis)
            }
            marker => return Err(Error::Amf0Marker { marker }),
        })
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut pairs = Vec::new();
        // Some encoders leave the last end marker away: the end of the message does as well.
        while !self.bytes.is_empty() {
            let key = self.short_text()?;
            if key.is_empty() && self.bytes.first() == Some(&marker::OBJECT_END) {
                self.array::<1>("amf0 object end")?;
                break;
            }
            limit("amf0 keys", pairs.len() + 1, MAX_ELEMENTS)?;
            pairs.push((key, self.value(depth + 1)?));
        }
        Ok(pairs)
    }

    fn elements(&mut self, depth: usize) -> Result<Vec<Value>, Error> {
        let count = u32::from_be_bytes(self.array("amf0 array count")?) as usize;
        limit("amf0 elements", count, MAX_ELEMENTS)?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(depth + 1)?);
        }
        Ok(elements)
    }

    fn f64(&mut self) -> Result<f64, Error> {
        self.array("amf0 number").map(f64::from_be_bytes)
    }

    fn short_text(&mut self) -> Result<String, Error> {
        let size = u16::from_be_bytes(self.array("amf0 string length")?);
        self.text(usize::from(size))
    }

    fn long_text(&mut self) -> Result<String, Error> {
        let size = u32::from_be_bytes(self.array("amf0 string length")?);
        self.text(size as usize)
    }

    fn text(&mut self, size: usize) -> Result<String, Error> {
        let (text, rest) = self.bytes.split_at_checked(size).ok_or(Error::Truncated {
            field: "amf0 string",
        })?;
        self.bytes = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        let (taken, rest): (&'a [u8; N], _) = self
            .bytes
            .split_first_chunk()
            .ok_or(Error::Truncated { field })?;
        self.bytes = rest;
        Ok(*taken)
    }
}

fn limit(what: &'static str, value: usize, max: usize) -> Result<(), Error> {
    if value > max {
        return Err(Error::Limit { what, value, max });
    }
    Ok(())
}
