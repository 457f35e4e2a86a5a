//! Hashes of secrets: what is kept instead of them.

use types::Secret;

/// A secret as kept: a keyed hash, never the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    pub(crate) fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// Bytes encrypted by the coordinator's key; the database can't read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

/// A password as kept: an argon2id string (PHC format).
pub type PasswordHash = Secret<String>;
