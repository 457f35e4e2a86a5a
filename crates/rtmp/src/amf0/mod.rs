//! AMF0 values (Adobe AMF0 2007): what commands and metadata are written in.
//!
//! Owns the values, a bounded reader and a writer. References, AMF3 and record sets are refused.

mod read;
mod write;

pub use read::{MAX_DEPTH, MAX_ELEMENTS, MAX_SIZE, MAX_VALUES, read_all};
pub use write::{write, write_all};

/// A value. Objects keep the order of their keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// §2.2.
    Number(f64),
    /// §2.3.
    Boolean(bool),
    /// §2.4, §2.14 and §2.17: string, long string and XML document; bytes that are no UTF-8 are replaced.
    String(String),
    /// §2.5 and, without its class name, §2.18.
    Object(Vec<(String, Value)>),
    /// §2.10.
    EcmaArray(Vec<(String, Value)>),
    /// §2.12.
    StrictArray(Vec<Value>),
    /// §2.7.
    Null,
    /// §2.8.
    Undefined,
    /// §2.13: milliseconds since 1970 in UTC.
    Date(f64),
}

impl Value {
    /// An object of these pairs.
    pub fn object<const N: usize>(pairs: [(&str, Self); N]) -> Self {
        let owned = pairs.map(|(key, value)| (key.to_owned(), value));
        Self::Object(Vec::from(owned))
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a number.
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The pairs of an object or an ECMA array, none of any other value.
    pub fn pairs(&self) -> &[(String, Self)] {
        match self {
            Self::Object(pairs) | Self::EcmaArray(pairs) => pairs,
            _ => &[],
        }
    }

    /// The first property called `key`.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.pairs()
            .iter()
            .find_map(|(name, value)| (name == key).then_some(value))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

mod marker {
    pub(super) const NUMBER: u8 = 0;
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const STRING: u8 = 2;
    pub(super) const OBJECT: u8 = 3;
    pub(super) const NULL: u8 = 5;
    pub(super) const UNDEFINED: u8 = 6;
    pub(super) const ECMA_ARRAY: u8 = 8;
    pub(super) const OBJECT_END: u8 = 9;
    pub(super) const STRICT_ARRAY: u8 = 10;
    pub(super) const DATE: u8 = 11;
    pub(super) const LONG_STRING: u8 = 12;
    pub(super) const UNSUPPORTED: u8 = 13;
    pub(super) const XML_DOCUMENT: u8 = 15;
    pub(super) const TYPED_OBJECT: u8 = 16;
}

#[cfg(test)]
mod tests;
