//! The tables, as sea-orm sees them. Private: repositories answer our types.
#![expect(
    unreachable_pub,
    reason = "sea-orm derives want pub; the module is private"
)]

pub(crate) mod origin;
pub(crate) mod origin_key;
pub(crate) mod outbox;
pub(crate) mod stream;
pub(crate) mod stream_key;
