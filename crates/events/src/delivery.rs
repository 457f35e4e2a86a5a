//! What is told of who carried what to whom: the parts of facts that a coordinator gathers.
//!
//! Each part is identified by itself, so that it does not matter how parts were gathered into events.

use proto::{ConvertError, convert::field, events as wire};
use types::{Bitrate, ByteCount, InstanceId, NodeId, RunId, SessionId, StreamId};

/// How a node carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStatus {
    /// It does.
    Active,
    /// Its streamer wants no help for now.
    Paused,
    /// Its streamer, or the friend, ended it.
    Removed,
    /// It served wrong bytes: no new viewers, on any stream.
    Quarantined,
}

/// A viewer began to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedSession {
    /// Its session.
    pub session: SessionId,
    /// On this stream.
    pub stream: StreamId,
    /// When, Unix time in milliseconds.
    pub at_ms: i64,
    /// A keyed hash of the viewer's network: equal for one household.
    pub household: [u8; 8],
}

/// A viewer left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// Its session.
    pub session: SessionId,
    /// On this stream.
    pub stream: StreamId,
    /// When, Unix time in milliseconds.
    pub at_ms: i64,
}

/// A node was given to a session, from one time to another. Identified by session, node and `from_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedNode {
    /// To whom.
    pub session: SessionId,
    /// Which.
    pub node: NodeId,
    /// On this stream.
    pub stream: StreamId,
    /// Unix time in milliseconds.
    pub from_ms: i64,
    /// Unix time in milliseconds; `None`: it still is.
    pub until_ms: Option<i64>,
    /// The stream's: the most a session can take.
    pub bitrate: Bitrate,
    /// Node and viewer are in one household or account.
    pub own: bool,
}

/// What a node says it uploaded to a session. Identified by node, run, sequence and session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedDelivery {
    /// To whom.
    pub session: SessionId,
    /// Who.
    pub node: NodeId,
    /// On this stream.
    pub stream: StreamId,
    /// Of which run of the node.
    pub run: RunId,
    /// The report's number within the run.
    pub sequence: u64,
    /// Unix time in milliseconds.
    pub from_ms: i64,
    /// Unix time in milliseconds.
    pub to_ms: i64,
    /// Payload.
    pub bytes: ByteCount,
    /// Why it can't count; empty: it can.
    pub refused: String,
}

/// What an edge sent of a stream's segments in a minute. Identified by edge, stream and minute; the largest
/// counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeBytes {
    /// Which edge.
    pub edge: InstanceId,
    /// Of this stream.
    pub stream: StreamId,
    /// When the minute began, Unix time in milliseconds.
    pub minute_ms: i64,
    /// To viewers.
    pub to_viewers: ByteCount,
    /// To nodes.
    pub to_nodes: ByteCount,
}

/// What a viewer verified since its session began, by who sent it. The largest counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedReceipt {
    /// Whose.
    pub session: SessionId,
    /// On this stream.
    pub stream: StreamId,
    /// Which count of the session: a page that begins anew counts from zero.
    pub epoch: u32,
    /// Rises with each receipt.
    pub counter: u64,
    /// When it was made, Unix time in milliseconds.
    pub at_ms: i64,
    /// From nodes.
    pub nodes: Vec<(NodeId, ByteCount)>,
    /// From other viewers.
    pub peers: ByteCount,
    /// From edges.
    pub edge: ByteCount,
}

fn exact<const N: usize>(bytes: &[u8], name: &'static str) -> Result<[u8; N], ConvertError> {
    bytes
        .try_into()
        .map_err(|_| ConvertError::Field { field: name })
}

impl NodeStatus {
    pub(crate) fn to_wire(self) -> i32 {
        i32::from(match self {
            Self::Active => wire::NodeStatus::Active,
            Self::Paused => wire::NodeStatus::Paused,
            Self::Removed => wire::NodeStatus::Removed,
            Self::Quarantined => wire::NodeStatus::Quarantined,
        })
    }

    pub(crate) fn from_wire(status: i32) -> Result<Self, ConvertError> {
        match wire::NodeStatus::try_from(status) {
            Ok(wire::NodeStatus::Active) => Ok(Self::Active),
            Ok(wire::NodeStatus::Paused) => Ok(Self::Paused),
            Ok(wire::NodeStatus::Removed) => Ok(Self::Removed),
            Ok(wire::NodeStatus::Quarantined) => Ok(Self::Quarantined),
            _ => Err(ConvertError::Field { field: "status" }),
        }
    }
}

impl StartedSession {
    pub(crate) fn to_wire(&self) -> wire::StartedSession {
        wire::StartedSession {
            session_id: self.session.to_string(),
            stream_id: self.stream.to_string(),
            at_ms: self.at_ms,
            household: self.household.to_vec().into(),
        }
    }

    pub(crate) fn from_wire(told: wire::StartedSession) -> Result<Self, ConvertError> {
        Ok(Self {
            session: field(&told.session_id, "session_id")?,
            stream: field(&told.stream_id, "stream_id")?,
            at_ms: told.at_ms,
            household: exact(&told.household, "household")?,
        })
    }
}

impl EndedSession {
    pub(crate) fn to_wire(&self) -> wire::EndedSession {
        wire::EndedSession {
            session_id: self.session.to_string(),
            stream_id: self.stream.to_string(),
            at_ms: self.at_ms,
        }
    }

    pub(crate) fn from_wire(told: wire::EndedSession) -> Result<Self, ConvertError> {
        Ok(Self {
            session: field(&told.session_id, "session_id")?,
            stream: field(&told.stream_id, "stream_id")?,
            at_ms: told.at_ms,
        })
    }
}

impl AssignedNode {
    pub(crate) fn to_wire(&self) -> wire::AssignedNode {
        wire::AssignedNode {
            session_id: self.session.to_string(),
            node_id: self.node.to_string(),
            stream_id: self.stream.to_string(),
            from_ms: self.from_ms,
            until_ms: self.until_ms.unwrap_or(0),
            bitrate_bps: self.bitrate.get(),
            own: self.own,
        }
    }

    pub(crate) fn from_wire(told: wire::AssignedNode) -> Result<Self, ConvertError> {
        Ok(Self {
            session: field(&told.session_id, "session_id")?,
            node: field(&told.node_id, "node_id")?,
            stream: field(&told.stream_id, "stream_id")?,
            from_ms: told.from_ms,
            until_ms: (told.until_ms != 0).then_some(told.until_ms),
            bitrate: Bitrate::new(told.bitrate_bps),
            own: told.own,
        })
    }
}

impl ReportedDelivery {
    pub(crate) fn to_wire(&self) -> wire::ReportedDelivery {
        wire::ReportedDelivery {
            session_id: self.session.to_string(),
            node_id: self.node.to_string(),
            stream_id: self.stream.to_string(),
            run_id: self.run.to_string(),
            sequence: self.sequence,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            bytes: self.bytes.get(),
            refused: self.refused.clone(),
        }
    }

    pub(crate) fn from_wire(told: wire::ReportedDelivery) -> Result<Self, ConvertError> {
        Ok(Self {
            session: field(&told.session_id, "session_id")?,
            node: field(&told.node_id, "node_id")?,
            stream: field(&told.stream_id, "stream_id")?,
            run: field(&told.run_id, "run_id")?,
            sequence: told.sequence,
            from_ms: told.from_ms,
            to_ms: told.to_ms,
            bytes: ByteCount::new(told.bytes),
            refused: told.refused,
        })
    }
}

impl EdgeBytes {
    pub(crate) fn to_wire(&self) -> wire::EdgeBytes {
        wire::EdgeBytes {
            edge_id: self.edge.to_string(),
            stream_id: self.stream.to_string(),
            minute_ms: self.minute_ms,
            to_viewers: self.to_viewers.get(),
            to_nodes: self.to_nodes.get(),
        }
    }

    pub(crate) fn from_wire(told: wire::EdgeBytes) -> Result<Self, ConvertError> {
        Ok(Self {
            edge: field(&told.edge_id, "edge_id")?,
            stream: field(&told.stream_id, "stream_id")?,
            minute_ms: told.minute_ms,
            to_viewers: ByteCount::new(told.to_viewers),
            to_nodes: ByteCount::new(told.to_nodes),
        })
    }
}

impl AcceptedReceipt {
    pub(crate) fn to_wire(&self) -> wire::AcceptedReceipt {
        let nodes = self.nodes.iter().map(|(node, bytes)| wire::NodeBytes {
            node_id: node.to_string(),
            bytes: bytes.get(),
        });
        wire::AcceptedReceipt {
            session_id: self.session.to_string(),
            stream_id: self.stream.to_string(),
            epoch: self.epoch,
            counter: self.counter,
            at_ms: self.at_ms,
            nodes: nodes.collect(),
            peers: self.peers.get(),
            edge: self.edge.get(),
        }
    }

    pub(crate) fn from_wire(told: wire::AcceptedReceipt) -> Result<Self, ConvertError> {
        let nodes = told
            .nodes
            .iter()
            .map(|node| Ok((field(&node.node_id, "node_id")?, ByteCount::new(node.bytes))));
        Ok(Self {
            session: field(&told.session_id, "session_id")?,
            stream: field(&told.stream_id, "stream_id")?,
            epoch: told.epoch,
            counter: told.counter,
            at_ms: told.at_ms,
            nodes: nodes.collect::<Result<_, ConvertError>>()?,
            peers: ByteCount::new(told.peers),
            edge: ByteCount::new(told.edge),
        })
    }
}
