//! What must not be lost, on SQLite or PostgreSQL by sea-orm.
//!
//! A repository per aggregate answers our types; entities stay private and no other crate writes SQL.
//! Each change and its event are written in one transaction. Knows no service.

mod connect;
mod entity;
mod error;
mod origins;
mod outbox;
mod streams;

pub use connect::Database;
pub use error::StorageError;
pub use origins::{OriginKey, OriginRecord, Origins};
pub use outbox::OutboxTable;
pub use streams::{KeyHash, NewStream, Stream, Streams};
