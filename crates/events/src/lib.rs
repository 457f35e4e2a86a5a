//! Facts, and how they reach who must know: at least once, in order, exactly once in effect.
//!
//! Owns the typed [`Event`], the outbox port, the relay that reads it, and the bus with its two adapters:
//! in process, and RabbitMQ. A change and its event are written in one transaction by `storage`; this
//! crate knows no database.

mod amqp;
mod bus;
mod dead_letters;
mod delivery;
mod event;
mod local;
mod outbox;
mod relay;
mod subscription;
mod wire;

use std::time::{SystemTime, UNIX_EPOCH};

pub use bus::{Bus, BusError};
pub use dead_letters::DeadLetters;
pub use delivery::{
    AcceptedReceipt, AssignedNode, EdgeBytes, EndedSession, NodeStatus, ReportedDelivery,
    StartedSession,
};
pub use event::{Broadcast, Event, Fact};
pub use outbox::{Backlog, Dead, DeadLetter, Outbox, OutboxError, Pending};
pub use relay::Nudge;
pub use subscription::{Handler, HandlerError, Kind, Subscription};
pub use wire::DecodeError;

/// Unix time in microseconds.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_micros() as i64)
}
