//! Events: facts in the past tense.

use types::{BroadcastId, ByteCount, EventId, InstanceId, NodeId, SessionId, Slug, StreamId};

use crate::delivery::{
    AcceptedReceipt, AssignedNode, EdgeBytes, EndedSession, NodeStatus, ReportedDelivery,
    StartedSession,
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// A stream went live.
    StreamStarted {
        /// Which.
        stream: StreamId,
        /// Its name in URLs.
        slug: Slug,
        /// The time on air that begins.
        broadcast: BroadcastId,
    },
    /// A stream ended: its publisher left and did not return within the grace period, or it was ended.
    StreamEnded {
        /// Which.
        stream: StreamId,
        /// Its name in URLs.
        slug: Slug,
        /// The time on air that is over.
        broadcast: Broadcast,
    },
    /// A stream has a new key; the old one is worth nothing.
    StreamKeyChanged {
        /// Which.
        stream: StreamId,
    },
    /// A stream's title, description, visibility or what it starts as changed.
    StreamChanged {
        /// Which.
        stream: StreamId,
    },
    /// A stream's owner or an admin ended it: its publisher is cut off, without a grace period.
    StreamStopped {
        /// Which.
        stream: StreamId,
    },
    /// A stream was deleted.
    StreamDeleted {
        /// Which.
        stream: StreamId,
        /// Its name in URLs.
        slug: Slug,
    },
    /// A playback session was revoked: what it opened is to be closed.
    SessionRevoked {
        /// Of which stream.
        stream: StreamId,
        /// Which.
        session: SessionId,
    },
    /// A setting or a feature flag changed.
    SettingChanged {
        /// Its name.
        name: String,
    },
    /// A friend's node carries a stream from now on.
    NodeEnrolled {
        /// Which node.
        node: NodeId,
        /// Which stream.
        stream: StreamId,
    },
    /// A node carries otherwise than before.
    NodeStatusChanged {
        /// Which.
        node: NodeId,
        /// On this stream; `None`: on all.
        stream: Option<StreamId>,
        /// How.
        status: NodeStatus,
    },
    /// Viewers began to watch.
    SessionStarted {
        /// The coordinator that tells.
        by: InstanceId,
        /// Whose sessions.
        sessions: Vec<StartedSession>,
    },
    /// Viewers left.
    SessionEnded {
        /// The coordinator that tells.
        by: InstanceId,
        /// Whose sessions.
        sessions: Vec<EndedSession>,
    },
    /// Nodes were given to sessions, or taken from them.
    NodesAssigned {
        /// The coordinator that tells.
        by: InstanceId,
        /// Which to which.
        assignments: Vec<AssignedNode>,
    },
    /// Nodes said what they uploaded, and edges what they sent.
    DeliveriesReported {
        /// The coordinator that tells.
        by: InstanceId,
        /// What nodes said.
        deliveries: Vec<ReportedDelivery>,
        /// What edges counted.
        edges: Vec<EdgeBytes>,
    },
    /// Viewers said what they verified, and their signatures are good.
    ReceiptsAccepted {
        /// The coordinator that tells.
        by: InstanceId,
        /// What they said.
        receipts: Vec<AcceptedReceipt>,
    },
    /// A session's minute was reconciled, or reconciled again.
    ContributionRecorded {
        /// Whose contribution.
        node: NodeId,
        /// To which stream.
        stream: StreamId,
        /// To whom.
        session: SessionId,
        /// When the minute began, Unix time in milliseconds.
        minute_ms: i64,
        /// What counts.
        verified: ByteCount,
    },
}

/// One time on air, as its end tells it: all of it, so that who missed its start needs nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broadcast {
    /// Which.
    pub id: BroadcastId,
    /// When it began, Unix time in microseconds.
    pub started_us: i64,
    /// When it ended, Unix time in microseconds.
    pub ended_us: i64,
    /// The most viewers at once.
    pub peak_viewers: u32,
    /// Playback sessions opened.
    pub sessions: u64,
}

/// A fact with what makes it deliverable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The key of idempotence.
    pub id: EventId,
    /// When it happened, Unix time in microseconds.
    pub time_us: i64,
    /// Version of the aggregate after the change; consumers ignore older ones.
    pub version: u64,
    /// The `traceparent` of what caused it; empty when that was not traced.
    pub trace_parent: String,
    /// What happened.
    pub fact: Fact,
}

impl Event {
    /// The span of a consumer that applies it, within the trace of what caused it.
    pub(crate) fn consumer_span(&self) -> tracing::Span {
        runtime::trace::consumer(self.name(), &self.trace_parent)
    }

    /// The stream it is about, if it is about one.
    pub fn stream(&self) -> Option<StreamId> {
        match &self.fact {
            Fact::StreamStarted { stream, .. }
            | Fact::StreamEnded { stream, .. }
            | Fact::StreamKeyChanged { stream }
            | Fact::StreamChanged { stream }
            | Fact::StreamStopped { stream }
            | Fact::StreamDeleted { stream, .. }
            | Fact::SessionRevoked { stream, .. }
            | Fact::NodeEnrolled { stream, .. }
            | Fact::ContributionRecorded { stream, .. } => Some(*stream),
            Fact::NodeStatusChanged { stream, .. } => *stream,
            Fact::SettingChanged { .. }
            | Fact::SessionStarted { .. }
            | Fact::SessionEnded { .. }
            | Fact::NodesAssigned { .. }
            | Fact::DeliveriesReported { .. }
            | Fact::ReceiptsAccepted { .. } => None,
        }
    }

    /// What the fact is about: events of one aggregate arrive in the order of their versions.
    pub fn aggregate(&self) -> String {
        match &self.fact {
            Fact::SettingChanged { name } => format!("setting/{name}"),
            Fact::NodeEnrolled { node, .. }
            | Fact::NodeStatusChanged { node, .. }
            | Fact::ContributionRecorded { node, .. } => format!("node/{node}"),
            Fact::SessionStarted { by, .. }
            | Fact::SessionEnded { by, .. }
            | Fact::NodesAssigned { by, .. }
            | Fact::DeliveriesReported { by, .. }
            | Fact::ReceiptsAccepted { by, .. } => format!("coordinator/{by}"),
            _ => self
                .stream()
                .map_or_else(String::new, |stream| format!("stream/{stream}")),
        }
    }

    /// The kind of aggregate: the first word of [`Self::aggregate`].
    pub fn kind(&self) -> &'static str {
        match self.fact {
            Fact::SettingChanged { .. } => "setting",
            Fact::NodeEnrolled { .. }
            | Fact::NodeStatusChanged { .. }
            | Fact::ContributionRecorded { .. } => "node",
            Fact::SessionStarted { .. }
            | Fact::SessionEnded { .. }
            | Fact::NodesAssigned { .. }
            | Fact::DeliveriesReported { .. }
            | Fact::ReceiptsAccepted { .. } => "coordinator",
            _ => "stream",
        }
    }

    /// The event's name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self.fact {
            Fact::StreamStarted { .. } => "StreamStarted",
            Fact::StreamEnded { .. } => "StreamEnded",
            Fact::StreamKeyChanged { .. } => "StreamKeyChanged",
            Fact::StreamChanged { .. } => "StreamChanged",
            Fact::StreamStopped { .. } => "StreamStopped",
            Fact::StreamDeleted { .. } => "StreamDeleted",
            Fact::SessionRevoked { .. } => "SessionRevoked",
            Fact::SettingChanged { .. } => "SettingChanged",
            Fact::NodeEnrolled { .. } => "NodeEnrolled",
            Fact::NodeStatusChanged { .. } => "NodeStatusChanged",
            Fact::SessionStarted { .. } => "SessionStarted",
            Fact::SessionEnded { .. } => "SessionEnded",
            Fact::NodesAssigned { .. } => "NodesAssigned",
            Fact::DeliveriesReported { .. } => "DeliveriesReported",
            Fact::ReceiptsAccepted { .. } => "ReceiptsAccepted",
            Fact::ContributionRecorded { .. } => "ContributionRecorded",
        }
    }
}
