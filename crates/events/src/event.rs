//! Events: facts in the past tense, and their encoding.

use prost::Message;
use proto::events as wire;
use types::{EventId, SessionId, Slug, StreamId};

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
    },
    /// A stream ended: its publisher left and did not return within the grace period, or it was ended.
    StreamEnded {
        /// Which.
        stream: StreamId,
        /// Its name in URLs.
        slug: Slug,
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
    /// What happened.
    pub fact: Fact,
}

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

impl Event {
    /// The stream it is about, if it is about one.
    pub fn stream(&self) -> Option<StreamId> {
        match &self.fact {
            Fact::StreamStarted { stream, .. }
            | Fact::StreamEnded { stream, .. }
            | Fact::StreamKeyChanged { stream }
            | Fact::StreamChanged { stream }
            | Fact::StreamStopped { stream }
            | Fact::StreamDeleted { stream, .. }
            | Fact::SessionRevoked { stream, .. } => Some(*stream),
            Fact::SettingChanged { .. } => None,
        }
    }

    /// What the fact is about: events of one aggregate arrive in the order of their versions.
    pub fn aggregate(&self) -> String {
        match &self.fact {
            Fact::SettingChanged { name } => format!("setting/{name}"),
            _ => self
                .stream()
                .map_or_else(String::new, |stream| format!("stream/{stream}")),
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
        }
    }

    /// As `streamr.events.v1.Envelope`.
    pub fn encode(&self) -> Vec<u8> {
        use wire::envelope::Fact as Wire;
        let fact = match &self.fact {
            Fact::StreamStarted { stream, slug } => Wire::StreamStarted(wire::StreamStarted {
                stream_id: stream.to_string(),
                slug: slug.to_string(),
            }),
            Fact::StreamEnded { stream, slug } => Wire::StreamEnded(wire::StreamEnded {
                stream_id: stream.to_string(),
                slug: slug.to_string(),
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
            trace_parent: String::new(),
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
            },
            Wire::StreamEnded(fact) => Fact::StreamEnded {
                stream: field(&fact.stream_id, "stream_id")?,
                slug: field(&fact.slug, "slug")?,
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
            fact,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_wire() {
        let stream = StreamId::new();
        let slug: Slug = "live".parse().unwrap();
        for fact in [
            Fact::StreamStarted {
                stream,
                slug: slug.clone(),
            },
            Fact::StreamEnded {
                stream,
                slug: slug.clone(),
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
                id: EventId::new(),
                time_us: 1_700_000_000_000_000,
                version: 3,
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
