//! Segment digests: what an origin signs so that nobody between it and a viewer can change a segment.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use serde::Serialize;
use sha2::{Digest, Sha256};
use types::{ByteCount, Epoch, Msn, StreamId};

/// Sets these signatures apart from any other made with the same key.
const DOMAIN: &[u8] = b"streamr/segment/1";

/// What a digest speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentDigest {
    /// The stream.
    pub stream: StreamId,
    /// The rendition's name.
    pub rendition: String,
    /// The origin's epoch.
    pub epoch: Epoch,
    /// The segment.
    pub msn: Msn,
    /// Its length.
    pub length: ByteCount,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Names the origin's key.
    pub key_id: String,
    /// Ed25519 over [`Self::message`].
    pub signature: [u8; 64],
}

impl SegmentDigest {
    /// The bytes signed: the domain, then the fields in order, integers big endian, texts behind their
    /// length in two bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut message = DOMAIN.to_vec();
        let text = |bytes: &[u8], message: &mut Vec<u8>| {
            message.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            message.extend_from_slice(bytes);
        };
        message.extend_from_slice(self.stream.as_uuid().as_bytes());
        text(self.rendition.as_bytes(), &mut message);
        for number in [self.epoch.get(), self.msn.get(), self.length.get()] {
            message.extend_from_slice(&number.to_be_bytes());
        }
        message.extend_from_slice(&self.sha256);
        text(self.key_id.as_bytes(), &mut message);
        message
    }

    /// Whether the key's owner signed exactly this.
    pub fn verify(&self, key: &VerifyingKey) -> bool {
        key.verify(&self.message(), &Signature::from_bytes(&self.signature))
            .is_ok()
    }
}

/// An origin's signing key.
#[derive(Clone)]
pub struct DigestKey {
    id: String,
    key: SigningKey,
}

impl DigestKey {
    /// A new key, named by its public half.
    pub fn generate() -> Self {
        let key = SigningKey::from_bytes(&rand::random());
        let id = hex::encode(&Sha256::digest(key.verifying_key().as_bytes())[..8]);
        Self { id, key }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its public half.
    pub fn public(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// Signs what `segment` holds.
    pub fn digest(
        &self,
        stream: StreamId,
        epoch: Epoch,
        msn: Msn,
        segment: &[&[u8]],
    ) -> SegmentDigest {
        let mut hasher = Sha256::new();
        let mut length = 0;
        for piece in segment {
            hasher.update(piece);
            length += piece.len() as u64;
        }
        let mut digest = SegmentDigest {
            stream,
            rendition: crate::RENDITION.to_owned(),
            epoch,
            msn,
            length: ByteCount::new(length),
            sha256: hasher.finalize().into(),
            key_id: self.id.clone(),
            signature: [0; 64],
        };
        digest.signature = self.key.sign(&digest.message()).to_bytes();
        digest
    }
}

/// A digest as `/live/<stream>/digests` lists it.
#[derive(Debug, Serialize)]
pub(crate) struct DigestResource {
    stream: StreamId,
    rendition: String,
    epoch: Epoch,
    msn: Msn,
    length: ByteCount,
    sha256: String,
    key_id: String,
    signature: String,
}

impl From<&SegmentDigest> for DigestResource {
    fn from(digest: &SegmentDigest) -> Self {
        Self {
            stream: digest.stream,
            rendition: digest.rendition.clone(),
            epoch: digest.epoch,
            msn: digest.msn,
            length: digest.length,
            sha256: hex::encode(digest.sha256),
            key_id: digest.key_id.clone(),
            signature: STANDARD.encode(digest.signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_verifies() {
        let key = DigestKey::generate();
        let digest = key.digest(StreamId::new(), Epoch::new(3), Msn::new(9), &[b"ab", b"c"]);
        assert_eq!(digest.sha256, <[u8; 32]>::from(Sha256::digest(b"abc")));
        assert!(digest.verify(&key.public()));
        assert!(!digest.verify(&DigestKey::generate().public()));
        let changes: [fn(&mut SegmentDigest); 6] = [
            |digest| digest.stream = StreamId::new(),
            |digest| digest.rendition.push('x'),
            |digest| digest.epoch = Epoch::new(2),
            |digest| digest.msn = Msn::new(10),
            |digest| digest.length = ByteCount::new(4),
            |digest| digest.sha256[0] ^= 1,
        ];
        for change in changes {
            let mut forged = digest.clone();
            change(&mut forged);
            assert!(!forged.verify(&key.public()), "{forged:?}");
        }
    }
}
