//! Keys: Ed25519 (RFC 8037), named by their thumbprints (RFC 7638).

use std::{collections::HashMap, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use types::Secret;

use crate::{Kind, TokenError, claims::Envelope};

/// A key's name: the base64url thumbprint of its public half.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public half of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    fn x(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Its name (RFC 7638 §3, with the members RFC 8037 §2 requires).
    pub fn id(self) -> KeyId {
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        KeyId(URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)))
    }

    /// As a member of a JWK set (RFC 7517).
    pub fn jwk(self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": self.id().0, "x": self.x(),
        })
    }
}

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    public: PublicKey,
    seed: Secret<[u8; 32]>,
    encoding: EncodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

impl SigningKey {
    /// A new key.
    pub fn generate() -> Result<Self, TokenError> {
        Self::from_seed(Secret::new(rand::random()))
    }

    /// The key that was kept as `seed` (RFC 8032 §5.1.5).
    pub fn from_seed(seed: Secret<[u8; 32]>) -> Result<Self, TokenError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed.expose());
        let public = PublicKey(key.verifying_key().to_bytes());
        let der = key.to_pkcs8_der().map_err(|_| TokenError::Signing)?;
        Ok(Self {
            id: public.id(),
            public,
            seed,
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
        })
    }

    /// Its name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// What must be kept, and kept secret.
    pub fn seed(&self) -> &Secret<[u8; 32]> {
        &self.seed
    }

    /// Signs a token.
    pub fn sign<K: Kind>(&self, claims: K) -> Result<Secret<String>, TokenError> {
        let header = Header {
            typ: Some(K::TYPE.to_owned()),
            kid: Some(self.id.0.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, &Envelope::around(claims), &self.encoding)
            .map(Secret::new)
            .map_err(|_| TokenError::Signing)
    }
}

/// Keys that tokens of one kind are verified with.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: HashMap<KeyId, (PublicKey, DecodingKey)>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

impl KeySet {
    /// A set of these keys; what is no point on the curve is left out, for it can't have signed.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let keys = keys.into_iter().filter_map(|key| {
            let decoding = DecodingKey::from_ed_components(&key.x()).ok()?;
            Some((key.id(), (key, decoding)))
        });
        Self {
            keys: keys.collect(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys, in the order of their names.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by(|a, b| a.0.0.cmp(&b.0.0));
        keys.into_iter().map(|(_, (key, _))| *key).collect()
    }

    /// As a JWK set (RFC 7517 §5).
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.public_keys().into_iter().map(PublicKey::jwk).collect();
        serde_json::json!({ "keys": keys })
    }

    pub(crate) fn decoding(&self, id: &KeyId) -> Option<&DecodingKey> {
        self.keys.get(id).map(|(_, decoding)| decoding)
    }
}
