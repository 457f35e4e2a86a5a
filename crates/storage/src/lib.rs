//! What must not be lost, on SQLite or PostgreSQL by sea-orm.
//!
//! A repository per aggregate answers our types; entities stay private and no other crate writes SQL.
//! Each change and its event are written in one transaction. Knows no service.

mod audit;
mod carrying;
mod connect;
mod entity;
mod error;
mod evidence;
mod friends;
mod gathered;
mod hash;
mod history;
mod idempotency;
mod inbox;
mod leases;
mod link;
mod links;
mod logins;
mod origins;
mod outbox;
mod settings;
mod shares;
mod signing_keys;
mod stream_life;
mod streams;
mod users;

pub use audit::{Audit, AuditEntry, AuditFilter, NewAudit, Order};
pub use carrying::{
    Carried, Carrying, Delivered, DeliveredBy, Health, MinuteOfStream, SupportedDay,
    SupportedStream,
};
pub use connect::Database;
pub use error::StorageError;
pub use evidence::{Evidence, EvidenceLog};
pub use friends::{
    Friend, Friends,
    invites::{Enrolment, Invite, Refused},
    nodes::Node,
};
pub use gathered::Gathered;
pub use hash::{PasswordHash, Sealed, SecretHash};
pub use history::{BroadcastRecord, StreamHistory, StreamTotals};
pub use idempotency::{Claim, Idempotency};
pub use leases::{Holder, Leases};
pub use links::{Invitation, LinkPurpose, Links};
pub use logins::{Login, Logins, NewLogin, Rotation};
pub use origins::{OriginKey, OriginRecord, Origins};
pub use outbox::OutboxTable;
pub use settings::{Setting, Settings};
pub use shares::{PlaybackSession, ShareLink, Shares};
pub use signing_keys::{KeyPurpose, SIGNING_KEYS, SigningKeyRecord, SigningKeys};
pub use stream_life::Seen;
pub use streams::{KeyHash, NewStream, Scope, Stream, StreamChange, Streams};
pub use users::{NewUser, User, Users};
