//! Values with units: `"2s"`, `"500ms"`, `"4MiB"`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};
use types::ByteCount;

/// A span of time, written `500ms`, `2s`, `10m` or `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

/// A number of bytes, written `64KiB`, `4MiB`, `1GiB` or `1500B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub ByteCount);

/// Words, written as a list or as `a,b`; without the spaces around them, and without empty ones.
pub(super) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<String>),
        Text(String),
    }
    let words = match Form::deserialize(deserializer)? {
        Form::List(words) => words,
        Form::Text(text) => text.split(',').map(str::to_owned).collect(),
    };
    let words = words.iter().map(|word| word.trim().to_owned());
    Ok(words.filter(|word| !word.is_empty()).collect())
}

/// One or more `http://host:port`, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(pub Vec<String>);

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let addresses: Vec<String> = text
            .split(',')
            .map(|address| address.trim().trim_end_matches('/').to_owned())
            .filter(|address| !address.is_empty())
            .collect();
        let good = |address: &String| {
            ["http://", "https://"].iter().any(|scheme| {
                address
                    .strip_prefix(scheme)
                    .is_some_and(|host| !host.is_empty())
            })
        };
        if addresses.is_empty() || !addresses.iter().all(good) {
            return Err(
                "write \"http://host:port\", or several of them separated by commas".to_owned(),
            );
        }
        Ok(Self(addresses))
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = words(deserializer)?.join(",");
        text.parse().map_err(de::Error::custom)
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim()))
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = split_unit(text).and_then(|(number, unit)| match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
            "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
            _ => None,
        });
        parsed
            .map(Self)
            .ok_or_else(|| "write a duration such as \"500ms\", \"2s\" or \"10m\"".to_owned())
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = split_unit(text).and_then(|(number, unit)| {
            let factor = match unit {
                "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return None,
            };
            number.checked_mul(factor)
        });
        parsed
            .map(ByteCount::new)
            .map(Self)
            .ok_or_else(|| "write a size such as \"64KiB\" or \"4MiB\"".to_owned())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1000) {
            write!(f, "{}s", millis / 1000)
        } else {
            write!(f, "{millis}ms")
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        if bytes.is_multiple_of(1 << 20) {
            write!(f, "{}MiB", bytes >> 20)
        } else if bytes.is_multiple_of(1 << 10) {
            write!(f, "{}KiB", bytes >> 10)
        } else {
            write!(f, "{bytes}B")
        }
    }
}

macro_rules! deserialize_from_str {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    };
}

deserialize_from_str!(Seconds);
deserialize_from_str!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_they_print() {
        for text in ["500ms", "2s", "90s"] {
            assert_eq!(text.parse::<Seconds>().unwrap().to_string(), text);
        }
        for text in ["64KiB", "4MiB", "1500B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_an_example() {
        assert!("15".parse::<Seconds>().unwrap_err().contains("\"2s\""));
        assert!("99999999999999GiB".parse::<Size>().is_err());
    }
}
