//! What may be served: segments whose bytes are what the origin signed, and nothing else.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use delivery::SegmentDigest;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use types::{ByteCount, Epoch, Msn, StreamId};

/// No segment is longer: ten seconds at 50 Mbit/s.
pub(crate) const MAX_SEGMENT: ByteCount = ByteCount::mib(64);

/// A digest as an edge lists it. Whether it is genuine is not known yet.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ListedDigest {
    stream: StreamId,
    rendition: String,
    epoch: Epoch,
    /// The segment.
    pub(crate) msn: Msn,
    length: ByteCount,
    sha256: String,
    key_id: String,
    signature: String,
}

/// Digests as an edge lists them.
#[derive(Debug, Deserialize)]
pub(crate) struct DigestList {
    /// In the order of their segments.
    pub(crate) digests: Vec<ListedDigest>,
}

impl DigestList {
    /// Of an edge's answer.
    pub(crate) fn parse(answer: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(answer)
    }
}

/// Why a digest or a segment is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    /// Not of this stream.
    #[error("digest is of another stream or rendition")]
    Foreign,
    /// Not hexadecimal or base64 of the right length.
    #[error("digest is malformed")]
    Malformed,
    /// Signed by a key that the coordinator didn't name.
    #[error("digest names a key that the coordinator does not know")]
    UnknownKey,
    /// Not signed by the origin.
    #[error("digest is not signed by the origin")]
    Signature,
    /// Of an origin that was replaced.
    #[error("digest is of an epoch that is over")]
    OldEpoch,
    /// Longer than any segment.
    #[error("segment is too long")]
    TooLong,
    /// The bytes are not those that were signed.
    #[error("bytes are not what the origin signed")]
    Bytes,
}

/// The origins' keys, as the coordinator said them.
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginKeys(HashMap<(StreamId, String), VerifyingKey>);

impl OriginKeys {
    /// Of the coordinator's list; keys that are none are left out.
    pub(crate) fn new(keys: &[proto::node::OriginKey]) -> Self {
        let keys = keys.iter().filter_map(|key| {
            let stream = key.stream_id.parse().ok()?;
            let public: &[u8; 32] = key.public_key.as_ref().try_into().ok()?;
            let public = VerifyingKey::from_bytes(public).ok()?;
            Some(((stream, key.key_id.clone()), public))
        });
        Self(keys.collect())
    }
}

/// A segment that the origin signed; its bytes are not here yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The stream.
    pub(crate) stream: StreamId,
    /// The origin's epoch.
    pub(crate) epoch: Epoch,
    /// The segment.
    pub(crate) msn: Msn,
    /// Its length.
    pub(crate) length: ByteCount,
    sha256: [u8; 32],
}

impl ListedDigest {
    /// Checks that the origin signed it for this stream.
    pub(crate) fn verify(&self, stream: StreamId, keys: &OriginKeys) -> Result<Expected, Bad> {
        if self.stream != stream || self.rendition != delivery::RENDITION {
            return Err(Bad::Foreign);
        }
        if self.length > MAX_SEGMENT {
            return Err(Bad::TooLong);
        }
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&self.sha256, &mut sha256).map_err(|_| Bad::Malformed)?;
        let signature = STANDARD.decode(&self.signature).ok();
        let signature = signature.and_then(|bytes| bytes.try_into().ok());
        let digest = SegmentDigest {
            stream,
            rendition: self.rendition.clone(),
            epoch: self.epoch,
            msn: self.msn,
            length: self.length,
            sha256,
            key_id: self.key_id.clone(),
            signature: signature.ok_or(Bad::Malformed)?,
        };
        let key = keys.0.get(&(stream, self.key_id.clone()));
        let key = key.ok_or(Bad::UnknownKey)?;
        if !digest.verify(key) {
            return Err(Bad::Signature);
        }
        Ok(Expected {
            stream,
            epoch: self.epoch,
            msn: self.msn,
            length: self.length,
            sha256,
        })
    }
}

impl Expected {
    /// The bytes, if they are the signed ones.
    pub(crate) fn check(&self, bytes: Bytes) -> Result<Verified, Bad> {
        let same = bytes.len() as u64 == self.length.get()
            && <[u8; 32]>::from(Sha256::digest(&bytes)) == self.sha256;
        if !same {
            return Err(Bad::Bytes);
        }
        Ok(Verified {
            stream: self.stream,
            msn: self.msn,
            bytes,
        })
    }
}

/// A segment whose bytes are what the origin signed. There is no other way to make one.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    stream: StreamId,
    msn: Msn,
    bytes: Bytes,
}

impl Verified {
    /// The stream.
    pub(crate) const fn stream(&self) -> StreamId {
        self.stream
    }

    /// The segment.
    pub(crate) const fn msn(&self) -> Msn {
        self.msn
    }

    /// Its bytes.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use delivery::DigestKey;

    use super::*;

    const SEGMENT: &[u8] = b"a segment";

    fn listed(digest: &SegmentDigest) -> ListedDigest {
        ListedDigest {
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

    #[test]
    fn only_the_bytes_that_were_signed_pass() {
        let (key, stream) = (DigestKey::generate(), StreamId::new());
        let keys = OriginKeys::new(&[proto::node::OriginKey {
            stream_id: stream.to_string(),
            key_id: key.id().to_owned(),
            public_key: key.public().to_bytes().to_vec().into(),
        }]);
        let digest = key.digest(stream, Epoch::new(2), Msn::new(7), &[SEGMENT]);
        let expected = listed(&digest).verify(stream, &keys).unwrap();
        let segment = Bytes::from_static(SEGMENT);
        assert_eq!(
            expected.check(segment.clone()).unwrap().into_bytes(),
            segment
        );
        for bad in [&b"a segmenT"[..], b"a segmen", b"a segment ", b""] {
            assert_eq!(
                expected.check(Bytes::copy_from_slice(bad)).unwrap_err(),
                Bad::Bytes
            );
        }

        let bad = |change: fn(&mut ListedDigest)| {
            let mut forged = listed(&digest);
            change(&mut forged);
            forged.verify(stream, &keys).unwrap_err()
        };
        assert_eq!(bad(|d| d.stream = StreamId::new()), Bad::Foreign);
        assert_eq!(bad(|d| d.rendition.push('x')), Bad::Foreign);
        assert_eq!(bad(|d| d.msn = Msn::new(8)), Bad::Signature, "swapped");
        assert_eq!(bad(|d| d.epoch = Epoch::new(3)), Bad::Signature);
        assert_eq!(bad(|d| d.length = ByteCount::new(8)), Bad::Signature);
        assert_eq!(bad(|d| d.sha256 = hex::encode([0; 32])), Bad::Signature);
        assert_eq!(bad(|d| d.sha256.push('0')), Bad::Malformed);
        assert_eq!(bad(|d| d.signature.clear()), Bad::Malformed);
        assert_eq!(bad(|d| d.key_id.push('x')), Bad::UnknownKey);
        assert_eq!(bad(|d| d.length = ByteCount::new(1 << 40)), Bad::TooLong);
        let other = DigestKey::generate().digest(stream, Epoch::new(2), Msn::new(7), &[SEGMENT]);
        let mut wrong_key = listed(&other);
        wrong_key.key_id = key.id().to_owned();
        assert_eq!(wrong_key.verify(stream, &keys), Err(Bad::Signature));
    }
}
