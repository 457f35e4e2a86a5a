//! Bodies of the fuzz targets, so that an ordinary test can replay their corpora.

use base64::{Engine, engine::general_purpose::STANDARD};
use delivery::SegmentDigest;
use ed25519_dalek::{Signer, SigningKey};
use proto::node::OriginKey;
use types::{ByteCount, Epoch, Msn, StreamId};
use uuid::Uuid;

use crate::verify::{DigestList, Expected, OriginKeys};

const STREAM: StreamId = StreamId::from_uuid(Uuid::from_u128(0x11));
const KEY: &str = "key";

/// An origin's digest of one segment.
fn honest(key: &SigningKey) -> SegmentDigest {
    let mut digest = SegmentDigest {
        stream: STREAM,
        rendition: delivery::RENDITION.to_owned(),
        epoch: Epoch::new(2),
        msn: Msn::new(7),
        length: ByteCount::new(9),
        sha256: [0xa5; 32],
        key_id: KEY.to_owned(),
        signature: [0; 64],
    };
    digest.signature = key.sign(&digest.message()).to_bytes();
    digest
}

/// As an edge lists it.
fn listed(digest: &SegmentDigest) -> Vec<u8> {
    let one = serde_json::json!({
        "stream": digest.stream.to_string(),
        "rendition": digest.rendition,
        "epoch": digest.epoch,
        "msn": digest.msn,
        "length": digest.length,
        "sha256": hex::encode(digest.sha256),
        "key_id": digest.key_id,
        "signature": STANDARD.encode(digest.signature),
    });
    serde_json::json!({ "digests": [one] })
        .to_string()
        .into_bytes()
}

/// What is accepted of a list.
fn accepted(list: &[u8], keys: &OriginKeys) -> Vec<Expected> {
    let Ok(list) = DigestList::parse(list) else {
        return Vec::new();
    };
    let verified = list.digests.iter();
    verified
        .filter_map(|digest| digest.verify(STREAM, keys).ok())
        .collect()
}

/// `digests`: any bytes as an edge's list, and an honest list in which every three bytes of input put one byte
/// elsewhere. Whatever is accepted is what the origin signed.
pub fn digests(input: &[u8]) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let keys = OriginKeys::new(&[OriginKey {
        stream_id: STREAM.to_string(),
        key_id: KEY.to_owned(),
        public_key: key.verifying_key().to_bytes().to_vec().into(),
    }]);
    let honest = listed(&honest(&key));
    let genuine = accepted(&honest, &keys);
    assert_eq!(genuine.len(), 1, "an honest digest is refused");
    let mut altered = honest;
    for edit in input.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % altered.len();
        altered[at] = edit[2];
    }
    for list in [input, &altered] {
        for expected in accepted(list, &keys) {
            assert_eq!(expected, genuine[0], "a digest that nobody signed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io, path::Path};

    #[test]
    fn the_corpus_replays() -> io::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/digests");
        let mut replayed = 0;
        for entry in fs::read_dir(folder)? {
            super::digests(&fs::read(entry?.path())?);
            replayed += 1;
        }
        assert!(replayed > 0, "no seeds");
        Ok(())
    }
}
