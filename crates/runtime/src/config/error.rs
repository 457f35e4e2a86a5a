//! A configuration mistake: which key, which value, and what to write instead.

use crate::http::env_name;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key holds a value that it can't, or is unknown.
    #[error("configuration: {key} ({}){}: {problem}", env_name(key), shown(value.as_deref()))]
    Key {
        /// The key, such as `ingest.bind`.
        key: String,
        /// The value found, unless it is a secret or there is none.
        value: Option<String>,
        /// What is wrong and what to write.
        problem: String,
    },
    /// The file can't be read or isn't TOML.
    #[error("configuration file: {0}")]
    File(#[source] config::ConfigError),
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!(" is {value:?}"))
}

impl ConfigError {
    /// A mistake in `key`, whose `value` may be shown.
    pub fn key(key: &str, value: impl ToString, problem: impl Into<String>) -> Self {
        Self::Key {
            key: key.to_owned(),
            value: Some(value.to_string()),
            problem: problem.into(),
        }
    }

    /// A mistake in `key`, whose value must not be shown.
    pub fn secret(key: &str, problem: impl Into<String>) -> Self {
        Self::Key {
            key: key.to_owned(),
            value: None,
            problem: problem.into(),
        }
    }
}
