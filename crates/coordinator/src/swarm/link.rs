//! The names under which nodes report on their viewers. A node must not learn a session's id, which opens what
//! is private; and whoever restarted must still understand a name. So the name is what it stands for, sealed.

use bytes::Bytes;
use storage::Sealed;
use types::{NodeId, SessionId, StreamId};
use uuid::Uuid;

use crate::KeyRing;

const CONTEXT: &str = "link";

/// A node given to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) session: SessionId,
    pub(super) node: NodeId,
    pub(super) stream: StreamId,
    /// When it was given, Unix time in milliseconds.
    pub(super) from_ms: i64,
}

impl Link {
    /// Its name, as its node is told.
    pub(super) fn seal(&self, keys: &KeyRing) -> Option<Bytes> {
        let mut plain = Vec::with_capacity(56);
        plain.extend_from_slice(self.session.as_uuid().as_bytes());
        plain.extend_from_slice(self.node.as_uuid().as_bytes());
        plain.extend_from_slice(self.stream.as_uuid().as_bytes());
        plain.extend_from_slice(&self.from_ms.to_be_bytes());
        keys.seal(CONTEXT, &plain)
            .ok()
            .map(|sealed| sealed.0.into())
    }

    /// What a name stands for, if it is one of ours for this node.
    pub(super) fn open(keys: &KeyRing, name: &Bytes, node: NodeId) -> Option<Self> {
        if name.len() > 128 {
            return None;
        }
        let plain = keys.unseal(CONTEXT, &Sealed(name.to_vec())).ok()?;
        let id = |from: usize| {
            let bytes = plain.get(from..from + 16)?;
            Uuid::from_slice(bytes).ok()
        };
        let link = Self {
            session: SessionId::from_uuid(id(0)?),
            node: NodeId::from_uuid(id(16)?),
            stream: StreamId::from_uuid(id(32)?),
            from_ms: i64::from_be_bytes(plain.get(48..56)?.try_into().ok()?),
        };
        (link.node == node).then_some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_good_for_its_node_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyRing::open(folder.path(), None).unwrap();
        let link = Link {
            session: SessionId::new(),
            node: NodeId::new(),
            stream: StreamId::new(),
            from_ms: 1_700_000_000_123,
        };
        let name = link.seal(&keys).unwrap();
        assert!(name.len() <= 128, "{}", name.len());
        assert_eq!(Link::open(&keys, &name, link.node), Some(link));
        assert_eq!(Link::open(&keys, &name, NodeId::new()), None);
        let mut forged = name.to_vec();
        forged[40] ^= 1;
        assert_eq!(Link::open(&keys, &forged.into(), link.node), None);
        assert_eq!(
            Link::open(&keys, &Bytes::from_static(b"x"), link.node),
            None
        );
    }
}
