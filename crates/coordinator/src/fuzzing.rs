//! Bodies of the fuzz targets, so that an ordinary test can replay their corpora.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use economy::Receipt;
use ed25519_dalek::{Signer, SigningKey};
use types::{ByteCount, NodeId, SessionId};
use uuid::Uuid;

use crate::rest::SentReceipts;

fn honest() -> Receipt {
    let node = |n| NodeId::from_uuid(Uuid::from_u128(n));
    Receipt {
        session: SessionId::from_uuid(Uuid::from_u128(0x11)),
        epoch: 1,
        counter: 2,
        at_ms: 1_700_000_000_000,
        nodes: vec![
            (node(3), ByteCount::new(400)),
            (node(5), ByteCount::new(600)),
        ],
        peers: ByteCount::new(70),
        edge: ByteCount::new(80),
    }
}

/// As a page posts it.
fn posted(receipt: &Receipt, key: &SigningKey) -> Vec<u8> {
    let nodes: Vec<_> = receipt
        .nodes
        .iter()
        .map(|(node, bytes)| serde_json::json!({ "node": node.to_string(), "bytes": bytes.get() }))
        .collect();
    let one = serde_json::json!({
        "epoch": receipt.epoch,
        "counter": receipt.counter,
        "at_unix_ms": receipt.at_ms,
        "nodes": nodes,
        "peers": receipt.peers.get(),
        "edge": receipt.edge.get(),
        "signature": URL_SAFE_NO_PAD.encode(key.sign(&receipt.message()).to_bytes()),
    });
    serde_json::json!({ "token": "token", "receipts": [one] })
        .to_string()
        .into_bytes()
}

/// What is accepted of a body.
fn accepted(body: &[u8], key: &SigningKey) -> Vec<Receipt> {
    let Ok(sent) = serde_json::from_slice::<SentReceipts>(body) else {
        return Vec::new();
    };
    let key = key.verifying_key().to_bytes();
    let verified = sent.read(honest().session).filter_map(|read| {
        let (receipt, signature) = read.ok()?;
        receipt.verify(&key, &signature).ok().map(|()| receipt)
    });
    verified.collect()
}

/// `receipts`: any bytes as a body, and an honest body in which every three bytes of input put one byte elsewhere.
/// Whatever is accepted is what the page signed.
pub fn receipts(input: &[u8]) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let honest = honest();
    let body = posted(&honest, &key);
    assert_eq!(accepted(&body, &key), std::slice::from_ref(&honest));
    let mut altered = body;
    for edit in input.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % altered.len();
        altered[at] = edit[2];
    }
    for body in [input, &altered] {
        for receipt in accepted(body, &key) {
            assert_eq!(receipt, honest, "a receipt that nobody signed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io, path::Path};

    #[test]
    fn the_corpus_replays() -> io::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/receipts");
        let mut replayed = 0;
        for entry in fs::read_dir(folder)? {
            super::receipts(&fs::read(entry?.path())?);
            replayed += 1;
        }
        assert!(replayed > 0, "no seeds");
        Ok(())
    }
}
