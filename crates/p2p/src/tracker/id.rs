//! Ids as binary strings: kept as bytes, written back character by character as they came.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest offer id: pages use 20 bytes.
const MAX_OFFER_ID: usize = 64;

/// A text of characters up to U+00FF as bytes; `None` when one is no byte, or there are more than `max`.
fn bytes(text: &str, max: usize) -> Option<Vec<u8>> {
    // No character up to U+00FF takes more than two bytes.
    if text.len() > max.saturating_mul(2) {
        return None;
    }
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    bytes.filter(|bytes| bytes.len() <= max)
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

macro_rules! twenty {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 20]);

        impl $name {
            /// Of its bytes.
            pub const fn new(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; 20] {
                &self.0
            }

            /// Of a binary string: 20 characters up to U+00FF.
            pub fn from_binary_string(text: &str) -> Option<Self> {
                bytes(text, 20)?.try_into().ok().map(Self)
            }

            /// As a binary string.
            pub fn to_binary_string(&self) -> String {
                text(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.escape_ascii())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.escape_ascii())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_binary_string())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::from_binary_string(&text).ok_or_else(|| {
                    de::Error::custom(concat!($field, " is not a binary string of 20 bytes"))
                })
            }
        }
    };
}

twenty!(
    /// A swarm: the first 20 characters of a hash over stream and rendition.
    InfoHash,
    "info_hash"
);
twenty!(
    /// A peer of a swarm.
    PeerId,
    "peer_id"
);

/// Names an offer in its answer. Opaque: whoever passes it on passes on the same characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OfferId(Vec<u8>);

impl OfferId {
    /// Of bytes, 1 to 64.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let fits = (1..=MAX_OFFER_ID).contains(&bytes.len());
        fits.then(|| Self(bytes.to_vec()))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Of a binary string.
    pub fn from_binary_string(text: &str) -> Option<Self> {
        Self::new(&bytes(text, MAX_OFFER_ID)?)
    }

    /// As a binary string.
    pub fn to_binary_string(&self) -> String {
        text(&self.0)
    }
}

impl Serialize for OfferId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_binary_string())
    }
}

impl<'de> Deserialize<'de> for OfferId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_binary_string(&text)
            .ok_or_else(|| de::Error::custom("offer_id is not a binary string of 1 to 64 bytes"))
    }
}
