//! The name of a stream in URLs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest slug, in bytes.
const MAX_LENGTH: usize = 64;

/// An immutable URL name: 1 to 64 of `a-z`, `0-9`, `-` and `_`, starting with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(Box<str>);

/// A text that can't be a slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stream's name must be 1 to 64 of a-z, 0-9, '-' and '_', and start with a letter or digit"
)]
pub struct ParseSlugError;

impl Slug {
    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = ParseSlugError;

    fn from_str(text: &str) -> Result<Self, ParseSlugError> {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let starts_well = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        if text.len() <= MAX_LENGTH && starts_well && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(ParseSlugError)
        }
    }
}

impl TryFrom<String> for Slug {
    type Error = ParseSlugError;

    fn try_from(text: String) -> Result<Self, ParseSlugError> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0.into()
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slug({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_slugs() {
        for good in ["live", "a", "7th-heaven", "my_stream", &"x".repeat(64)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_would_need_escaping_are_refused() {
        for bad in [
            "",
            "-a",
            "_a",
            "Live",
            "a/b",
            "a.b",
            "a b",
            "ä",
            "..",
            &"x".repeat(65),
        ] {
            assert_eq!(bad.parse::<Slug>(), Err(ParseSlugError), "{bad}");
        }
    }
}
