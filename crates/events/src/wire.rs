//! The encoding of events: `streamr.events.v1.Envelope`.

use prost::Message;
use proto::events as wire;

use types::{BroadcastId, ByteCount};

use crate::{
    AcceptedReceipt, AssignedNode, Broadcast, EdgeBytes, EndedSession, Event, Fact, NodeStatus,
    ReportedDelivery, StartedSession,
};

/// Bytes that are no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not protobuf.
    #[error("envelope: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A field is missing or malformed.
    #[error(transparent)]
    Field(#[from] proto::ConvertError),
}

/// The id of a broadcast. An event that was written before broadcasts had ids stands for one of its own.
fn broadcast_id(text: &str, event: &str) -> Result<BroadcastId, proto::ConvertError> {
    let text = if text.is_empty() { event } else { text };
    proto::convert::field(text, "broadcast_id")
}

use wire::envelope::Fact as Wire;

/// Facts of streams, sessions and settings.
fn of_streams(fact: &Fact) -> Option<Wire> {
    Some(match fact {
        Fact::StreamStarted {
            stream,
            slug,
            broadcast,
        } => Wire::StreamStarted(wire::StreamStarted {
            stream_id: stream.to_string(),
            slug: slug.to_string(),
            broadcast_id: broadcast.to_string(),
        }),
        Fact::StreamEnded {
            stream,
            slug,
            broadcast,
        } => Wire::StreamEnded(wire::StreamEnded {
            stream_id: stream.to_string(),
            slug: slug.to_string(),
            broadcast_id: broadcast.id.to_string(),
            started_us: broadcast.started_us,
            ended_us: broadcast.ended_us,
            peak_viewers: broadcast.peak_viewers,
            sessions: broadcast.sessions,
        }),
        Fact::StreamKeyChanged { stream } => Wire::StreamKeyChanged(wire::StreamKeyChanged {
            stream_id: stream.to_string(),
        }),
        Fact::StreamChanged { stream } => Wire::StreamChanged(wire::StreamChanged {
            stream_id: stream.to_string(),
        }),
        Fact::StreamStopped { stream } => Wire::StreamStopped(wire::StreamStopped {
            stream_id: stream.to_string(),
        }),
        Fact::StreamDeleted { stream, slug } => Wire::StreamDeleted(wire::StreamDeleted {
            stream_id: stream.to_string(),
            slug: slug.to_string(),
        }),
        Fact::SessionRevoked { stream, session } => Wire::SessionRevoked(wire::SessionRevoked {
            stream_id: stream.to_string(),
            session_id: session.to_string(),
        }),
        Fact::SettingChanged { name } => {
            Wire::SettingChanged(wire::SettingChanged { name: name.clone() })
        }
        _ => return None,
    })
}

/// Facts of nodes, and what coordinators gather.
fn of_carrying(fact: &Fact) -> Option<Wire> {
    Some(match fact {
        Fact::NodeEnrolled { node, stream } => Wire::NodeEnrolled(wire::NodeEnrolled {
            node_id: node.to_string(),
            stream_id: stream.to_string(),
        }),
        Fact::NodeStatusChanged {
            node,
            stream,
            status,
        } => Wire::NodeStatusChanged(wire::NodeStatusChanged {
            node_id: node.to_string(),
            stream_id: stream.map(|stream| stream.to_string()).unwrap_or_default(),
            status: status.to_wire(),
        }),
        Fact::SessionStarted { by, sessions } => Wire::SessionStarted(wire::SessionStarted {
            instance_id: by.to_string(),
            sessions: sessions.iter().map(StartedSession::to_wire).collect(),
        }),
        Fact::SessionEnded { by, sessions } => Wire::SessionEnded(wire::SessionEnded {
            instance_id: by.to_string(),
            sessions: sessions.iter().map(EndedSession::to_wire).collect(),
        }),
        Fact::NodesAssigned { by, assignments } => Wire::NodesAssigned(wire::NodesAssigned {
            instance_id: by.to_string(),
            assignments: assignments.iter().map(AssignedNode::to_wire).collect(),
        }),
        Fact::DeliveriesReported {
            by,
            deliveries,
            edges,
        } => Wire::DeliveriesReported(wire::DeliveriesReported {
            instance_id: by.to_string(),
            deliveries: deliveries.iter().map(ReportedDelivery::to_wire).collect(),
            edges: edges.iter().map(EdgeBytes::to_wire).collect(),
        }),
        Fact::ReceiptsAccepted { by, receipts } => Wire::ReceiptsAccepted(wire::ReceiptsAccepted {
            instance_id: by.to_string(),
            receipts: receipts.iter().map(AcceptedReceipt::to_wire).collect(),
        }),
        Fact::ContributionRecorded {
            node,
            stream,
            session,
            minute_ms,
            verified,
        } => Wire::ContributionRecorded(wire::ContributionRecorded {
            node_id: node.to_string(),
            stream_id: stream.to_string(),
            session_id: session.to_string(),
            minute_ms: *minute_ms,
            verified_bytes: verified.get(),
        }),
        _ => return None,
    })
}

fn each<W, T>(
    told: Vec<W>,
    read: fn(W) -> Result<T, proto::ConvertError>,
) -> Result<Vec<T>, proto::ConvertError> {
    told.into_iter().map(read).collect()
}

fn read_carrying(fact: Wire) -> Result<Fact, proto::ConvertError> {
    use proto::convert::field;
    Ok(match fact {
        Wire::NodeEnrolled(fact) => Fact::NodeEnrolled {
            node: field(&fact.node_id, "node_id")?,
            stream: field(&fact.stream_id, "stream_id")?,
        },
        Wire::NodeStatusChanged(fact) => Fact::NodeStatusChanged {
            node: field(&fact.node_id, "node_id")?,
            stream: match fact.stream_id.as_str() {
                "" => None,
                id => Some(field(id, "stream_id")?),
            },
            status: NodeStatus::from_wire(fact.status)?,
        },
        Wire::SessionStarted(fact) => Fact::SessionStarted {
            by: field(&fact.instance_id, "instance_id")?,
            sessions: each(fact.sessions, StartedSession::from_wire)?,
        },
        Wire::SessionEnded(fact) => Fact::SessionEnded {
            by: field(&fact.instance_id, "instance_id")?,
            sessions: each(fact.sessions, EndedSession::from_wire)?,
        },
        Wire::NodesAssigned(fact) => Fact::NodesAssigned {
            by: field(&fact.instance_id, "instance_id")?,
            assignments: each(fact.assignments, AssignedNode::from_wire)?,
        },
        Wire::DeliveriesReported(fact) => Fact::DeliveriesReported {
            by: field(&fact.instance_id, "instance_id")?,
            deliveries: each(fact.deliveries, ReportedDelivery::from_wire)?,
            edges: each(fact.edges, EdgeBytes::from_wire)?,
        },
        Wire::ReceiptsAccepted(fact) => Fact::ReceiptsAccepted {
            by: field(&fact.instance_id, "instance_id")?,
            receipts: each(fact.receipts, AcceptedReceipt::from_wire)?,
        },
        Wire::ContributionRecorded(fact) => Fact::ContributionRecorded {
            node: field(&fact.node_id, "node_id")?,
            stream: field(&fact.stream_id, "stream_id")?,
            session: field(&fact.session_id, "session_id")?,
            minute_ms: fact.minute_ms,
            verified: ByteCount::new(fact.verified_bytes),
        },
        _ => return Err(proto::ConvertError::Field { field: "fact" }),
    })
}

impl Event {
    /// As `streamr.events.v1.Envelope`.
    pub fn encode(&self) -> Vec<u8> {
        wire::Envelope {
            id: self.id.to_string(),
            time_us: self.time_us,
            aggregate: self.aggregate(),
            version: self.version,
            trace_parent: self.trace_parent.clone(),
            fact: of_streams(&self.fact).or_else(|| of_carrying(&self.fact)),
        }
        .encode_to_vec()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use proto::convert::field;
        let envelope = wire::Envelope::decode(bytes)?;
        let fact = match envelope
            .fact
            .ok_or(proto::ConvertError::Field { field: "fact" })?
        {
            Wire::StreamStarted(fact) => Fact::StreamStarted {
                stream: field(&fact.stream_id, "stream_id")?,
                slug: field(&fact.slug, "slug")?,
                broadcast: broadcast_id(&fact.broadcast_id, &envelope.id)?,
            },
            Wire::StreamEnded(fact) => Fact::StreamEnded {
                stream: field(&fact.stream_id, "stream_id")?,
                slug: field(&fact.slug, "slug")?,
                broadcast: Broadcast {
                    id: broadcast_id(&fact.broadcast_id, &envelope.id)?,
                    started_us: fact.started_us,
                    ended_us: fact.ended_us,
                    peak_viewers: fact.peak_viewers,
                    sessions: fact.sessions,
                },
            },
            Wire::StreamKeyChanged(fact) => Fact::StreamKeyChanged {
                stream: field(&fact.stream_id, "stream_id")?,
            },
            Wire::StreamChanged(fact) => Fact::StreamChanged {
                stream: field(&fact.stream_id, "stream_id")?,
            },
            Wire::StreamStopped(fact) => Fact::StreamStopped {
                stream: field(&fact.stream_id, "stream_id")?,
            },
            Wire::StreamDeleted(fact) => Fact::StreamDeleted {
                stream: field(&fact.stream_id, "stream_id")?,
                slug: field(&fact.slug, "slug")?,
            },
            Wire::SessionRevoked(fact) => Fact::SessionRevoked {
                stream: field(&fact.stream_id, "stream_id")?,
                session: field(&fact.session_id, "session_id")?,
            },
            Wire::SettingChanged(fact) => Fact::SettingChanged { name: fact.name },
            fact => read_carrying(fact)?,
        };
        Ok(Self {
            id: field(&envelope.id, "id")?,
            time_us: envelope.time_us,
            version: envelope.version,
            trace_parent: envelope.trace_parent,
            fact,
        })
    }
}

#[cfg(test)]
mod tests {
    use types::{Bitrate, BroadcastId, InstanceId, NodeId, SessionId, Slug, StreamId};

    use super::*;

    #[test]
    fn events_survive_the_wire() {
        let stream = StreamId::new();
        let slug: Slug = "live".parse().unwrap();
        for fact in [
            Fact::StreamStarted {
                stream,
                slug: slug.clone(),
                broadcast: BroadcastId::new(),
            },
            Fact::StreamEnded {
                stream,
                slug: slug.clone(),
                broadcast: Broadcast {
                    id: BroadcastId::new(),
                    started_us: 1_700_000_000_000_000,
                    ended_us: 1_700_000_060_000_000,
                    peak_viewers: 7,
                    sessions: 12,
                },
            },
            Fact::StreamKeyChanged { stream },
            Fact::StreamChanged { stream },
            Fact::StreamStopped { stream },
            Fact::StreamDeleted { stream, slug },
            Fact::SessionRevoked {
                stream,
                session: SessionId::new(),
            },
            Fact::SettingChanged {
                name: "registration".to_owned(),
            },
        ]
        .into_iter()
        .chain(carrying())
        {
            let event = Event {
                id: types::EventId::new(),
                time_us: 1_700_000_000_000_000,
                version: 3,
                trace_parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
                fact,
            };
            assert_eq!(Event::decode(&event.encode()).unwrap(), event);
        }
    }

    fn gathered(node: NodeId, stream: StreamId, session: SessionId) -> Vec<Fact> {
        let (by, at_ms, bytes) = (InstanceId::new(), 1_700_000_000_000, ByteCount::new(12_345));
        let mut facts = Vec::new();
        let delivery = ReportedDelivery {
            session,
            node,
            stream,
            run: types::RunId::new(),
            sequence: 9,
            from_ms: at_ms,
            to_ms: at_ms + 10_000,
            bytes,
            refused: "future".to_owned(),
        };
        let edge = EdgeBytes {
            edge: by,
            stream,
            minute_ms: at_ms,
            to_viewers: bytes,
            to_nodes: ByteCount::ZERO,
        };
        facts.push(Fact::DeliveriesReported {
            by,
            deliveries: vec![delivery],
            edges: vec![edge],
        });
        let receipt = AcceptedReceipt {
            session,
            stream,
            epoch: 1,
            counter: 4,
            at_ms,
            nodes: vec![(node, bytes)],
            peers: ByteCount::new(5),
            edge: ByteCount::new(6),
        };
        facts.push(Fact::ReceiptsAccepted {
            by,
            receipts: vec![receipt],
        });
        facts
    }

    fn carrying() -> Vec<Fact> {
        let (node, stream, session) = (NodeId::new(), StreamId::new(), SessionId::new());
        let by = InstanceId::new();
        let (at_ms, bytes) = (1_700_000_000_000, ByteCount::new(12_345));
        let assignment = |until_ms| AssignedNode {
            session,
            node,
            stream,
            from_ms: at_ms,
            until_ms,
            bitrate: Bitrate::new(4_000_000),
            own: true,
        };
        let status = |stream, status| Fact::NodeStatusChanged {
            node,
            stream,
            status,
        };
        let mut facts = vec![
            Fact::NodeEnrolled { node, stream },
            status(None, NodeStatus::Quarantined),
            status(Some(stream), NodeStatus::Active),
            status(Some(stream), NodeStatus::Paused),
            status(Some(stream), NodeStatus::Removed),
        ];
        let started = StartedSession {
            session,
            stream,
            at_ms,
            household: [7; 8],
        };
        facts.push(Fact::SessionStarted {
            by,
            sessions: vec![started],
        });
        let ended = EndedSession {
            session,
            stream,
            at_ms,
        };
        facts.push(Fact::SessionEnded {
            by,
            sessions: vec![ended],
        });
        facts.push(Fact::NodesAssigned {
            by,
            assignments: vec![assignment(None), assignment(Some(at_ms + 1))],
        });
        facts.extend(gathered(node, stream, session));
        facts.push(Fact::ContributionRecorded {
            node,
            stream,
            session,
            minute_ms: at_ms,
            verified: bytes,
        });
        facts
    }

    #[test]
    fn an_envelope_without_a_fact_is_refused() {
        assert!(Event::decode(&[]).is_err());
    }
}
