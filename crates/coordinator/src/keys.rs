//! Stream keys: made, checked for form, and hashed with the server's pepper. Never stored or logged.

use std::{fs, io, io::Write, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use storage::KeyHash;
use types::Secret;

/// Bytes of randomness in a key that we make: 144 bit, 24 characters.
const RANDOM_BYTES: usize = 18;
/// The shortest key, in characters: 22 of 64 kinds carry 128 bit.
const MIN_LENGTH: usize = 22;
/// The longest key, in characters.
const MAX_LENGTH: usize = 128;
/// Bytes of the pepper.
const PEPPER_BYTES: usize = 32;

/// A key that has the right form.
#[derive(Debug, Clone)]
pub struct StreamKey(Secret<String>);

/// A key, or the key ring, that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a stream key by its form.
    #[error("a stream key has {MIN_LENGTH} to {MAX_LENGTH} of A-Z, a-z, 0-9, '-' and '_'")]
    Form,
    /// The pepper's file can't be used.
    #[error("pepper file {path}: {source}")]
    Pepper {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl StreamKey {
    /// A new key.
    pub fn generate() -> Self {
        let bytes: [u8; RANDOM_BYTES] = rand::random();
        Self(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Takes a key from outside, if it has a key's form.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if (MIN_LENGTH..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(Secret::new(text.to_owned())))
        } else {
            Err(KeyError::Form)
        }
    }

    /// The key itself, to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Hashes keys with a pepper that is kept beside the database, not in it.
#[derive(Debug, Clone)]
pub struct KeyRing {
    pepper: Secret<[u8; PEPPER_BYTES]>,
}

impl KeyRing {
    /// Opens the ring of a data folder; the first time, makes it.
    pub fn open(data_dir: &Path) -> Result<Self, KeyError> {
        let path = data_dir.join("pepper");
        let fail = |source| KeyError::Pepper {
            path: path.display().to_string(),
            source,
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path).map_err(fail)?,
            Err(error) => return Err(fail(error)),
        };
        let pepper = bytes.try_into().map_err(|_| {
            fail(io::Error::new(
                io::ErrorKind::InvalidData,
                "not 32 bytes; restore it, or remove it and make new keys",
            ))
        })?;
        Ok(Self {
            pepper: Secret::new(pepper),
        })
    }

    /// The hash under which `key` is kept.
    pub fn hash(&self, key: &StreamKey) -> KeyHash {
        // HMAC takes keys of any length: this can't fail for 32 bytes.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.pepper.expose()) else {
            return KeyHash([0; 32]);
        };
        mac.update(key.expose().as_bytes());
        KeyHash(mac.finalize().into_bytes().into())
    }
}

/// Writes a new pepper. When two processes start together, the first one's stays.
fn create(path: &Path) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::OpenOptionsExt;
    let pepper: [u8; PEPPER_BYTES] = rand::random();
    let temporary = path.with_extension(format!("{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(&pepper)?;
    file.sync_all()?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::read(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_keys_have_the_form_and_differ() {
        let (a, b) = (StreamKey::generate(), StreamKey::generate());
        assert!(StreamKey::parse(a.expose()).is_ok());
        assert_ne!(a.expose(), b.expose());
    }

    #[test]
    fn keys_of_another_form_are_refused() {
        for bad in [
            "",
            "short",
            &"x".repeat(21),
            &"x".repeat(129),
            "has space has space has space",
            "ümlautümlautümlautüml",
        ] {
            assert!(StreamKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_ring_is_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let key = StreamKey::generate();
        let first = KeyRing::open(folder.path()).unwrap().hash(&key);
        assert_eq!(KeyRing::open(folder.path()).unwrap().hash(&key), first);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(
            KeyRing::open(other.path()).unwrap().hash(&key),
            first,
            "another server's hash differs"
        );
    }
}
