//! The tables, as sea-orm sees them. Private: repositories answer our types.

pub(crate) mod origin;
pub(crate) mod origin_key;
pub(crate) mod outbox;
pub(crate) mod stream;
pub(crate) mod stream_key;
