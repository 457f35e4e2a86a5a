//! Facts, and how they reach who must know: at least once, in order, exactly once in effect.
//!
//! Owns the typed [`Event`], the outbox port and the local bus that reads it in process. A change and
//! its event are written in one transaction by `storage`; this crate knows no database.

mod bus;
mod event;
mod outbox;

pub use bus::{Handler, HandlerError, LocalBus, Nudge};
pub use event::{DecodeError, Event, Fact};
pub use outbox::{Outbox, OutboxError, Pending};
