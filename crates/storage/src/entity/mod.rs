//! The tables, as sea-orm sees them. Private: repositories answer our types.
#![expect(
    unreachable_pub,
    reason = "sea-orm derives want pub; the module is private"
)]

pub(crate) mod audit_entry;
pub(crate) mod broadcast;
pub(crate) mod friend;
pub(crate) mod idempotency_key;
pub(crate) mod inbox;
pub(crate) mod invitation;
pub(crate) mod invite;
pub(crate) mod lease;
pub(crate) mod login;
pub(crate) mod node;
pub(crate) mod node_evidence;
pub(crate) mod one_time_link;
pub(crate) mod origin;
pub(crate) mod origin_key;
pub(crate) mod outbox;
pub(crate) mod playback_session;
pub(crate) mod recovery_code;
pub(crate) mod refresh_token;
pub(crate) mod setting;
pub(crate) mod share_link;
pub(crate) mod signing_key;
pub(crate) mod stream;
pub(crate) mod stream_key;
pub(crate) mod stream_total;
pub(crate) mod user;
