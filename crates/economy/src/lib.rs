//! The rules of trust and money: what a receipt says, and what counts of what nodes claim.
//!
//! Pure: facts in, facts out; no clock, database or network. Who keeps the facts is `stats-collector`'s and
//! the coordinator's business.

mod receipt;
mod reconcile;

pub use receipt::{MAX_NODES, Receipt, ReceiptError, Signature};
pub use reconcile::{
    Assigned, Claimed, Contribution, Finding, MINUTE_MS, Oddity, Received, Reconciled,
    SessionFacts, Sources, reconcile,
};
