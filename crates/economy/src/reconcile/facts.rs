//! What is known of a session, and what reconciling makes of it. Data alone.

use std::collections::BTreeMap;

use types::{Bitrate, ByteCount, NodeId, RunId};

/// A node was given to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// Which.
    pub node: NodeId,
    /// Unix time in milliseconds.
    pub from_ms: i64,
    /// Unix time in milliseconds; `None`: it still is.
    pub until_ms: Option<i64>,
    /// The stream's.
    pub bitrate: Bitrate,
    /// They share a household or an account: it carries, and earns nothing.
    pub own: bool,
}

/// What the viewer signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Which count of the session.
    pub epoch: u32,
    /// Rises within an epoch.
    pub counter: u64,
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// Cumulative.
    pub nodes: Vec<(NodeId, ByteCount)>,
    /// Cumulative.
    pub peers: ByteCount,
    /// Cumulative.
    pub edge: ByteCount,
}

/// What a node said it uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// Who.
    pub node: NodeId,
    /// Which run of it.
    pub run: RunId,
    /// Rises within a run.
    pub sequence: u64,
    /// Unix time in milliseconds.
    pub from_ms: i64,
    /// Unix time in milliseconds.
    pub to_ms: i64,
    /// So much.
    pub bytes: ByteCount,
    /// Its report could not be: it came from the future, or too late.
    pub refused: bool,
}

/// All that is known of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// When it began, Unix time in milliseconds.
    pub started_ms: i64,
    /// When it ended, if it did.
    pub ended_ms: Option<i64>,
    /// Until when facts may speak, Unix time in milliseconds: now.
    pub now_ms: i64,
    /// Its nodes.
    pub assigned: Vec<Assigned>,
    /// Its receipts.
    pub received: Vec<Received>,
    /// Its nodes' reports.
    pub claimed: Vec<Claimed>,
}

/// What one node did for the session in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Verified.
    pub carried: ByteCount,
    /// Of that, what may earn.
    pub earning: ByteCount,
}

/// Where the session's bytes came from in one minute, as its viewer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sources {
    /// From friends' nodes.
    pub friends: ByteCount,
    /// From other viewers.
    pub peers: ByteCount,
    /// From edges.
    pub edge: ByteCount,
}

/// What does not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Oddity {
    /// A node claims bytes for a session it was not given.
    Unassigned,
    /// A node claims much more than the viewer verified.
    Inflated,
    /// A node claims bytes for a session that signed for nothing at all. That is the viewer's doing, or its page's
    /// end, as likely as the node's: it counts for nothing, and against nobody.
    Unsigned,
    /// Two reports of one run speak of the same time.
    Overlap,
    /// A report from the future, or too late.
    Untimely,
    /// A viewer verified more than there was.
    Impossible,
    /// A viewer names a node it was not given.
    Foreign,
}

impl Oddity {
    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::Inflated => "inflated",
            Self::Unsigned => "unsigned",
            Self::Overlap => "overlap",
            Self::Untimely => "untimely",
            Self::Impossible => "impossible",
            Self::Foreign => "foreign",
        }
    }
}

/// Something that does not add up, to be kept as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// About which node.
    pub node: NodeId,
    /// What.
    pub oddity: Oddity,
    /// How much does not count for it.
    pub bytes: ByteCount,
}

/// What counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// By node and the minute's start, Unix time in milliseconds.
    pub contributions: BTreeMap<(NodeId, i64), Contribution>,
    /// By the minute's start.
    pub sources: BTreeMap<i64, Sources>,
    /// What does not add up.
    pub findings: Vec<Finding>,
}
