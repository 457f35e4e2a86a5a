//! The service tokens: by them our services know one another on internal gRPC.
//!
//! The first is sent, all are accepted, so that a token is replaced without a gap: add the new one behind
//! the old one everywhere, then put it first everywhere, then take the old one away. Tokens in a file are
//! read again when it changes; those in the configuration when the service starts.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use subtle::ConstantTimeEq;
use tonic::metadata::{Ascii, MetadataValue};
use types::Secret;

use crate::config::{Config, ConfigError};

/// How often the file is read.
const REREAD: Duration = Duration::from_secs(1);
/// Tokens at once; two are enough to replace one.
const MOST: usize = 8;
/// Characters of a token.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=256;
/// Bytes of the file.
const FILE: u64 = 16 * 1024;

const KEY: &str = "service_token";
const FILE_KEY: &str = "service_token_file";

#[derive(Clone, PartialEq, Eq, Default)]
struct Set(Vec<MetadataValue<Ascii>>);

impl Set {
    fn parse(key: &str, text: &str) -> Result<Self, ConfigError> {
        let words = text.split([',', '\n']).map(str::trim);
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let wrong = |problem: String| ConfigError::secret(key, problem);
        if words.is_empty() {
            return Err(wrong(
                "holds no token; write one of 16 characters or more".to_owned(),
            ));
        }
        if words.len() > MOST {
            return Err(wrong(format!(
                "holds {} tokens; write {MOST} at most",
                words.len()
            )));
        }
        let token = |word: &&str| {
            let fits =
                LENGTH.contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic());
            let mut value = fits
                .then(|| MetadataValue::try_from(*word).ok())
                .flatten()?;
            value.set_sensitive(true);
            Some(value)
        };
        let tokens: Option<Vec<_>> = words.iter().map(token).collect();
        tokens.map(Self).ok_or_else(|| {
            wrong(format!(
                "holds a token that is no good; each needs {} to {} letters, digits or signs, without spaces",
                LENGTH.start(),
                LENGTH.end()
            ))
        })
    }
}

/// The tokens of this process, current. Cheap to clone.
#[derive(Clone, Default)]
pub struct ServiceTokens {
    current: Arc<ArcSwap<Set>>,
    file: Option<Arc<PathBuf>>,
}

impl std::fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceTokens")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl ServiceTokens {
    /// One that is known already, for tests.
    pub fn of(token: &Secret<String>) -> Result<Self, ConfigError> {
        Ok(Self::holding(Set::parse(KEY, token.expose())?, None))
    }

    /// Those that the configuration names; none when it names none.
    pub fn open(config: &Config) -> Result<Self, ConfigError> {
        match (&config.service_token, &config.service_token_file) {
            (None, None) => Ok(Self::default()),
            (Some(token), None) => Self::of(token),
            (None, Some(file)) => {
                let text =
                    std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
                let tokens = Set::parse(FILE_KEY, &text)?;
                Ok(Self::holding(tokens, Some(Arc::new(file.clone()))))
            }
            (Some(_), Some(file)) => Err(ConfigError::key(
                FILE_KEY,
                file.display(),
                "service_token is set as well; keep one of the two",
            )),
        }
    }

    fn holding(tokens: Set, file: Option<Arc<PathBuf>>) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(tokens)),
            file,
        }
    }

    /// What goes with outgoing calls.
    pub(crate) fn sent(&self) -> Option<MetadataValue<Ascii>> {
        self.current.load().0.first().cloned()
    }

    /// Whether an incoming call is one of ours; every call is when there are no tokens (embedded, on
    /// loopback).
    pub(crate) fn accepts(&self, given: &[u8]) -> bool {
        let tokens = self.current.load();
        let same = |token: &MetadataValue<Ascii>| bool::from(token.as_bytes().ct_eq(given));
        // All are compared, whichever fits.
        tokens.0.is_empty()
            || tokens
                .0
                .iter()
                .fold(false, |found, token| found | same(token))
    }

    /// Reads the file again when it changes. Never returns: its owner ends it. A file that can't be used
    /// changes nothing.
    pub async fn follow_file(self) {
        let Some(file) = &self.file else {
            return std::future::pending().await;
        };
        let mut said = String::new();
        loop {
            tokio::time::sleep(REREAD).await;
            let problem = match read(file).await {
                Ok(tokens) => {
                    if tokens != **self.current.load() {
                        let tokens_now = tokens.0.len();
                        self.current.store(Arc::new(tokens));
                        metrics::counter!("streamr_service_token_changes_total").increment(1);
                        tracing::info!(tokens = tokens_now, "service tokens changed");
                    }
                    String::new()
                }
                Err(error) => {
                    metrics::counter!("streamr_service_token_file_failures_total").increment(1);
                    error.to_string()
                }
            };
            if !problem.is_empty() && problem != said {
                tracing::warn!(problem, "service tokens stay as they are");
            }
            said = problem;
        }
    }
}

fn unreadable(file: &std::path::Path, error: &std::io::Error) -> ConfigError {
    ConfigError::key(
        FILE_KEY,
        file.display(),
        format!("can't be read: {error}; name a file with a token on each line"),
    )
}

async fn read(file: &std::path::Path) -> Result<Set, ConfigError> {
    use tokio::io::AsyncReadExt;
    let mut text = String::new();
    let opened = tokio::fs::File::open(file).await;
    let open = opened.map_err(|error| unreadable(file, &error))?;
    let read = open.take(FILE).read_to_string(&mut text).await;
    read.map_err(|error| unreadable(file, &error))?;
    Set::parse(FILE_KEY, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the-token-of-yesterday";
    const NEW: &str = "the-token-of-tomorrow";

    fn tokens(text: &str) -> Result<ServiceTokens, ConfigError> {
        ServiceTokens::of(&Secret::new(text.to_owned()))
    }

    #[test]
    fn the_first_is_sent_and_all_are_accepted() {
        let both = tokens(&format!("{NEW}, {OLD}")).unwrap();
        assert_eq!(both.sent().unwrap().as_bytes(), NEW.as_bytes());
        assert!(both.accepts(OLD.as_bytes()) && both.accepts(NEW.as_bytes()));
        for wrong in ["", "the-token-of-today", &OLD[1..], &format!("{OLD}x")] {
            assert!(!both.accepts(wrong.as_bytes()), "{wrong}");
        }
        let none = ServiceTokens::default();
        assert!(none.accepts(b"") && none.sent().is_none());
    }

    #[test]
    fn a_token_that_is_no_good_is_refused_without_showing_it() {
        for bad in [
            "",
            " , ",
            "short",
            "with a space in its midst",
            "ünïcödé-is-no-good",
        ] {
            let error = tokens(bad).unwrap_err().to_string();
            assert!(error.contains("STREAMR__SERVICE_TOKEN"), "{error}");
            assert!(bad.trim().len() < 5 || !error.contains(bad), "{error}");
        }
        let many = [OLD; MOST + 1].join(",");
        assert!(tokens(&many).unwrap_err().to_string().contains("8 at most"));
    }

    #[tokio::test]
    async fn a_file_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, OLD).unwrap();
        let config = Config {
            service_token_file: Some(file.clone()),
            ..Config::default()
        };
        let tokens = ServiceTokens::open(&config).unwrap();
        let follow = tokio::spawn(tokens.clone().follow_file());
        std::fs::write(&file, format!("{NEW}\n{OLD}\n")).unwrap();
        tokio::time::sleep(REREAD * 2).await;
        assert!(tokens.accepts(NEW.as_bytes()) && tokens.accepts(OLD.as_bytes()));
        for bad in ["short", ""] {
            std::fs::write(&file, bad).unwrap();
            tokio::time::sleep(REREAD * 3 / 2).await;
            assert_eq!(tokens.sent().unwrap().as_bytes(), NEW.as_bytes(), "{bad:?}");
        }
        std::fs::write(&file, NEW).unwrap();
        tokio::time::sleep(REREAD * 2).await;
        assert!(!tokens.accepts(OLD.as_bytes()));
        follow.abort();
    }
}
