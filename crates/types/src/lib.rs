//! The words every part of Streamr shares: ids, units, times and secrets.
//!
//! Owns newtypes that make a swapped id or a wrong unit a compile error. Knows
//! nothing of protocols, storage or services, and imports no crate of ours.

mod access;
mod id;
mod secret;
mod slug;
mod state;
mod time;
mod unit;

pub use access::{
    Delivery, Flag, ParseDeliveryError, ParseFlagError, ParseRegistrationError, ParseRoleError,
    ParseVisibilityError, Registration, Role, Visibility,
};
pub use id::{
    AuditId, BroadcastId, EventId, InstanceId, InvitationId, InviteId, LoginId, NodeId,
    ParseIdError, PublishId, RunId, SessionId, ShareLinkId, StreamId, UserId,
};
pub use secret::Secret;
pub use slug::{ParseSlugError, Slug};
pub use state::{InvalidTransition, ParseStateError, StreamState};
pub use time::{MediaTime, Timescale};
pub use unit::{Bitrate, ByteCount, Epoch, Msn, PartIndex};
