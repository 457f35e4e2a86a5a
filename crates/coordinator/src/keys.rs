//! Stream keys and other secrets: made, checked for form, hashed with the server's pepper, or sealed with
//! its key. Never stored or logged as they are.

use std::{fs, io, io::Write, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use storage::{KeyHash, Sealed, SecretHash};
use types::Secret;

/// Bytes of randomness in a key that we make: 144 bit, 24 characters.
const RANDOM_BYTES: usize = 18;
/// The shortest key, in characters: 22 of 64 kinds carry 128 bit.
const MIN_LENGTH: usize = 22;
/// The longest key, in characters.
const MAX_LENGTH: usize = 128;
/// Bytes of the pepper, and of the sealing key.
const PEPPER_BYTES: usize = 32;
/// The shortest `secret_key`, in characters.
const MIN_SECRET_KEY: usize = 32;
/// Bytes of randomness in a secret of ours: 256 bit.
const SECRET_BYTES: usize = 32;
/// Bytes of XChaCha20's nonce.
const NONCE_BYTES: usize = 24;

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
    /// `secret_key` is too short to keep a secret.
    #[error(
        "secret_key (STREAMR__SECRET_KEY) has fewer than {MIN_SECRET_KEY} characters; write a random text of at least that many"
    )]
    SecretKey,
    /// What is sealed was sealed with another key.
    #[error(
        "the database was sealed with another key: restore the data folder's `seal` file, or STREAMR__SECRET_KEY"
    )]
    Unseal,
    /// Sealing failed.
    #[error("can't be sealed")]
    Seal,
    /// The file of the pepper or of the sealing key can't be used.
    #[error("key file {path}: {source}")]
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

/// What a secret is for: hashes of one purpose never equal another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Refresh,
    Link,
    Invitation,
    Share,
    Recovery,
    Device,
    Request,
    Invite,
    Peer,
    Pull,
    Household,
    Supporter,
}

impl Purpose {
    const fn domain(self) -> &'static str {
        match self {
            Self::Refresh => "streamr/refresh/1",
            Self::Link => "streamr/link/1",
            Self::Invitation => "streamr/invitation/1",
            Self::Share => "streamr/share/1",
            Self::Recovery => "streamr/recovery/1",
            Self::Device => "streamr/device/1",
            Self::Request => "streamr/request/1",
            Self::Invite => "streamr/invite/1",
            Self::Peer => "streamr/peer/1",
            Self::Pull => "streamr/pull/1",
            Self::Household => "streamr/household/1",
            Self::Supporter => "streamr/supporter/1",
        }
    }
}

/// A new secret of 256 bit, URL-safe.
pub(crate) fn random_secret() -> Secret<String> {
    let bytes: [u8; SECRET_BYTES] = rand::random();
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// Hashes secrets with a pepper and seals what must be read again; both keys are kept beside the database,
/// not in it.
#[derive(Debug, Clone)]
pub struct KeyRing {
    pepper: Secret<[u8; PEPPER_BYTES]>,
    seal: Secret<[u8; PEPPER_BYTES]>,
}

impl KeyRing {
    /// Opens the ring: derived from `secret_key` if there is one, else from files in the data folder, made the
    /// first time.
    pub fn open(data_dir: &Path, secret_key: Option<&Secret<String>>) -> Result<Self, KeyError> {
        if let Some(secret) = secret_key {
            if secret.expose().len() < MIN_SECRET_KEY {
                return Err(KeyError::SecretKey);
            }
            let derive = |domain: &str| {
                let secret = secret.expose().as_bytes();
                Secret::new(authenticate(secret, &[domain.as_bytes()]))
            };
            return Ok(Self {
                pepper: derive("streamr/pepper/1"),
                seal: derive("streamr/seal/1"),
            });
        }
        Ok(Self {
            pepper: key_file(data_dir, "pepper")?,
            seal: key_file(data_dir, "seal")?,
        })
    }

    /// The hash under which `key` is kept.
    pub fn hash(&self, key: &StreamKey) -> KeyHash {
        KeyHash(authenticate(
            self.pepper.expose(),
            &[key.expose().as_bytes()],
        ))
    }

    /// The hash under which a secret is kept.
    pub(crate) fn hash_secret(&self, purpose: Purpose, secret: &[u8]) -> SecretHash {
        let domain = purpose.domain().as_bytes();
        SecretHash(authenticate(self.pepper.expose(), &[domain, b"/", secret]))
    }

    /// Encrypts `plain`, to be opened with the same `context` only.
    pub(crate) fn seal(&self, context: &str, plain: &[u8]) -> Result<Sealed, KeyError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| KeyError::Seal)?;
        Ok(Sealed([nonce.as_slice(), &sealed].concat()))
    }

    /// Decrypts what [`Self::seal`] made in this context.
    pub(crate) fn unseal(&self, context: &str, sealed: &Sealed) -> Result<Vec<u8>, KeyError> {
        let (nonce, sealed) = sealed
            .0
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(KeyError::Unseal)?;
        let payload = Payload {
            msg: sealed,
            aad: context.as_bytes(),
        };
        self.cipher()
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| KeyError::Unseal)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        chacha20poly1305::KeyInit::new(&Key::from(*self.seal.expose()))
    }
}

/// HMAC-SHA256 over `parts`.
fn authenticate(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length: this can't fail.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        return [0; 32];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The key in a file of the data folder; made the first time.
fn key_file(data_dir: &Path, name: &str) -> Result<Secret<[u8; PEPPER_BYTES]>, KeyError> {
    let path = data_dir.join(name);
    let fail = |source| KeyError::Pepper {
        path: path.display().to_string(),
        source,
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path).map_err(fail)?,
        Err(error) => return Err(fail(error)),
    };
    let key = bytes.try_into().map_err(|_| {
        fail(io::Error::new(
            io::ErrorKind::InvalidData,
            "not 32 bytes; restore it, or remove it and make new keys and links",
        ))
    })?;
    Ok(Secret::new(key))
}

/// Writes a new key. When two processes start together, the first one's stays.
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
        let open = |path| KeyRing::open(path, None).unwrap();
        let first = open(folder.path()).hash(&key);
        assert_eq!(open(folder.path()).hash(&key), first);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(
            open(other.path()).hash(&key),
            first,
            "another server's hash differs"
        );
    }

    #[test]
    fn replicas_with_one_secret_key_have_one_ring() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = Secret::new("a secret of more than thirty-two characters".to_owned());
        let sealed = KeyRing::open(a.path(), Some(&secret))
            .unwrap()
            .seal("key/1", b"seed")
            .unwrap();
        let ring = KeyRing::open(b.path(), Some(&secret)).unwrap();
        assert_eq!(ring.unseal("key/1", &sealed).unwrap(), b"seed");
        assert!(ring.unseal("key/2", &sealed).is_err(), "another context");
        let short = Secret::new("short".to_owned());
        assert!(KeyRing::open(a.path(), Some(&short)).is_err());
    }

    #[test]
    fn a_secret_of_one_purpose_is_none_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(folder.path(), None).unwrap();
        let secret = random_secret();
        let hash = |purpose| ring.hash_secret(purpose, secret.expose().as_bytes());
        assert_ne!(hash(Purpose::Refresh), hash(Purpose::Share));
    }
}
