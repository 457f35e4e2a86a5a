//! Receipts: what a viewer verified, signed by a key of its page (design §6).

use ed25519_dalek::VerifyingKey;
use types::{ByteCount, NodeId, SessionId};

/// Nodes that one receipt may name.
pub const MAX_NODES: usize = 64;
/// What stands before everything that is signed.
const DOMAIN: &[u8] = b"streamr/receipt/1\0";

/// An Ed25519 signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// What a viewer verified since its session began, by who sent it. Cumulative: the largest counts, a replay is
/// worth nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whose.
    pub session: SessionId,
    /// Which count of the session, from 1: a page that begins anew counts from zero.
    pub epoch: u32,
    /// Rises with each receipt of an epoch, from 1.
    pub counter: u64,
    /// When it was made by the page's clock, Unix time in milliseconds.
    pub at_ms: u64,
    /// From nodes, sorted by their ids, each once.
    pub nodes: Vec<(NodeId, ByteCount)>,
    /// From other viewers.
    pub peers: ByteCount,
    /// From edges.
    pub edge: ByteCount,
}

/// A receipt that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// More nodes than [`MAX_NODES`].
    #[error("nodes: name at most {MAX_NODES}")]
    TooManyNodes,
    /// Unsorted, or one named twice.
    #[error("nodes: name each once, sorted by id")]
    Unsorted,
    /// Counts begin at 1.
    #[error("epoch and counter begin at 1")]
    Zero,
    /// The session's key did not sign this.
    #[error("signature: the session's key did not sign this")]
    Signature,
}

impl ReceiptError {
    /// A short name, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooManyNodes | Self::Unsorted => "nodes",
            Self::Zero => "zero",
            Self::Signature => "signature",
        }
    }
}

impl Receipt {
    /// What is signed: every field, big-endian, in a fixed order.
    pub fn message(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DOMAIN.len() + 62 + self.nodes.len() * 24);
        bytes.extend_from_slice(DOMAIN);
        bytes.extend_from_slice(self.session.as_uuid().as_bytes());
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.counter.to_be_bytes());
        bytes.extend_from_slice(&self.at_ms.to_be_bytes());
        bytes.extend_from_slice(&self.peers.get().to_be_bytes());
        bytes.extend_from_slice(&self.edge.get().to_be_bytes());
        let count = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&count.to_be_bytes());
        for (node, verified) in &self.nodes {
            bytes.extend_from_slice(node.as_uuid().as_bytes());
            bytes.extend_from_slice(&verified.get().to_be_bytes());
        }
        bytes
    }

    /// Checks form and signature. `key` is the session's, from its token.
    pub fn verify(&self, key: &[u8; 32], signature: &Signature) -> Result<(), ReceiptError> {
        if self.nodes.len() > MAX_NODES {
            return Err(ReceiptError::TooManyNodes);
        }
        if !self.nodes.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(ReceiptError::Unsorted);
        }
        if self.epoch == 0 || self.counter == 0 {
            return Err(ReceiptError::Zero);
        }
        let key = VerifyingKey::from_bytes(key).map_err(|_| ReceiptError::Signature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        // Strict: a small-order key would accept anything.
        key.verify_strict(&self.message(), &signature)
            .map_err(|_| ReceiptError::Signature)
    }

    /// All bytes it tells of.
    pub fn total(&self) -> ByteCount {
        let nodes = self.nodes.iter().map(|(_, bytes)| bytes.get());
        let all = nodes.fold(0_u64, u64::saturating_add);
        ByteCount::new(all)
            .saturating_add(self.peers.get())
            .saturating_add(self.edge.get())
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;

    use super::*;

    fn node(n: u128) -> NodeId {
        format!("0fffffff-0000-0000-0000-{n:012x}").parse().unwrap()
    }

    fn receipt() -> Receipt {
        Receipt {
            session: "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
            epoch: 1,
            counter: 2,
            at_ms: 3,
            nodes: vec![(node(1), ByteCount::new(6))],
            peers: ByteCount::new(4),
            edge: ByteCount::new(5),
        }
    }

    fn signed(receipt: &Receipt, key: &SigningKey) -> Signature {
        Signature(key.sign(&receipt.message()).to_bytes())
    }

    #[test]
    fn what_is_signed_is_fixed() {
        assert_eq!(
            hex::encode(receipt().message()),
            "73747265616d722f726563656970742f3100\
             00112233445566778899aabbccddeeff\
             00000001000000000000000200000000000000030000000000000004\
             000000000000000500010fffffff0000000000000000000000010000000000000006"
        );
    }

    #[test]
    fn forms_that_are_refused() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let refused = |change: fn(&mut Receipt)| {
            let mut receipt = receipt();
            change(&mut receipt);
            receipt
                .verify(&public, &signed(&receipt, &key))
                .unwrap_err()
        };
        assert_eq!(refused(|r| r.epoch = 0), ReceiptError::Zero);
        assert_eq!(refused(|r| r.counter = 0), ReceiptError::Zero);
        let twice = |r: &mut Receipt| r.nodes.push(r.nodes[0]);
        assert_eq!(refused(twice), ReceiptError::Unsorted);
        let many = |r: &mut Receipt| {
            r.nodes = (0..=MAX_NODES as u128)
                .map(|n| (node(n), ByteCount::ZERO))
                .collect();
        };
        assert_eq!(refused(many), ReceiptError::TooManyNodes);
        // A key of small order would accept any signature.
        let anything = receipt().verify(&[0; 32], &Signature([0; 64]));
        assert_eq!(anything, Err(ReceiptError::Signature));
    }

    proptest! {
        /// Whatever is changed of what was signed, the signature is wrong.
        #[test]
        fn no_change_goes_unseen(seed: [u8; 32], field in 0..7_u8, by in 1..u64::from(u32::MAX)) {
            let key = SigningKey::from_bytes(&seed);
            let public = key.verifying_key().to_bytes();
            let mut receipt = receipt();
            let signature = signed(&receipt, &key);
            prop_assert_eq!(receipt.verify(&public, &signature), Ok(()));
            match field {
                0 => receipt.session = SessionId::new(),
                1 => receipt.epoch += by as u32,
                2 => receipt.counter += by,
                3 => receipt.at_ms += by,
                4 => receipt.peers = receipt.peers.saturating_add(by),
                5 => receipt.edge = receipt.edge.saturating_add(by),
                _ => receipt.nodes[0].1 = receipt.nodes[0].1.saturating_add(by),
            }
            prop_assert_eq!(receipt.verify(&public, &signature), Err(ReceiptError::Signature));
        }
    }
}
