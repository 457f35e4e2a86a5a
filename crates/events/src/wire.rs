//! The encoding of events: `streamr.events.v1.Envelope`.

use prost::Message;
use proto::events as wire;

use types::BroadcastId;

use crate::{Broadcast, Event, Fact};

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

impl Event {
    /// As `streamr.events.v1.Envelope`.
    pub fn encode(&self) -> Vec<u8> {
        use wire::envelope::Fact as Wire;
        let fact = match &self.fact {
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
            Fact::SessionRevoked { stream, session } => {
                Wire::SessionRevoked(wire::SessionRevoked {
                    stream_id: stream.to_string(),
                    session_id: session.to_string(),
                })
            }
            Fact::SettingChanged { name } => {
                Wire::SettingChanged(wire::SettingChanged { name: name.clone() })
            }
        };
        wire::Envelope {
            id: self.id.to_string(),
            time_us: self.time_us,
            aggregate: self.aggregate(),
            version: self.version,
            trace_parent: self.trace_parent.clone(),
            fact: Some(fact),
        }
        .encode_to_vec()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use proto::convert::field;
        use wire::envelope::Fact as Wire;
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
    use types::{BroadcastId, SessionId, Slug, StreamId};

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
        ] {
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

    #[test]
    fn an_envelope_without_a_fact_is_refused() {
        assert!(Event::decode(&[]).is_err());
    }
}
