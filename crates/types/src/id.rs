//! Identifiers: UUIDv7 newtypes, so that they sort by creation and never mix.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is no id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be a UUID, got {length} bytes of something else")]
pub struct ParseIdError {
    kind: &'static str,
    length: usize,
}

macro_rules! id_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: UUIDv7, ordered by creation time.
            #[expect(clippy::new_without_default, reason = "each call answers another id")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Wraps a UUID that is known to name this kind of thing.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself, for storage and wire formats.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| ParseIdError {
                    kind: stringify!($name),
                    length: text.len(),
                })
            }
        }
    };
}

id_newtype!(
    /// A stream: what a streamer publishes and viewers play, whoever carries it.
    StreamId
);
id_newtype!(
    /// One viewer's session on one stream.
    SessionId
);
id_newtype!(
    /// One publisher's connection, from `publish` to its end.
    PublishId
);
id_newtype!(
    /// One running process of a service.
    InstanceId
);
id_newtype!(
    /// A fact on the event bus.
    EventId
);
id_newtype!(
    /// One time a stream is on air, from its start to its end.
    BroadcastId
);
id_newtype!(
    /// A person with an account.
    UserId
);
id_newtype!(
    /// One log-in of a user on one device: the family of refresh tokens that follow from it.
    LoginId
);
id_newtype!(
    /// A share link: lets who holds it watch a stream that isn't public.
    ShareLinkId
);
id_newtype!(
    /// An invitation to make an account.
    InvitationId
);
id_newtype!(
    /// An entry of the audit log.
    AuditId
);
id_newtype!(
    /// What a friend runs to carry streams.
    NodeId
);
id_newtype!(
    /// One run of a node's program, from its start to its end.
    RunId
);
id_newtype!(
    /// A streamer's invite to a friend to carry a stream.
    InviteId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_through_text() {
        let id = StreamId::new();
        assert_eq!(id.to_string().parse::<StreamId>(), Ok(id));
    }

    #[test]
    fn ids_sort_by_creation() {
        let first = EventId::new();
        std::thread::park_timeout(std::time::Duration::from_millis(2));
        assert!(first < EventId::new());
    }

    #[test]
    fn a_wrong_id_says_what_was_wanted() {
        let error = "nonsense".parse::<StreamId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "StreamId must be a UUID, got 8 bytes of something else"
        );
    }
}
