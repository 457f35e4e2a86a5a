//! Signed tokens (RFC 7515, RFC 7519) and the keys behind them: who may call the API, who may watch.
//!
//! Owns what a token says, how it is signed and how it is verified. Two kinds, each with keys, `typ`,
//! issuer and audience of its own, so that one never passes for the other. Pure: the time is an
//! argument; where keys are kept is `storage`'s and the coordinator's.

mod claims;
mod error;
mod key;
mod verify;

pub use claims::{AccessClaims, Kind, PlaybackClaims, ReceiptKey, UnixTime};
pub use error::TokenError;
pub use key::{KeyId, KeySet, PublicKey, SigningKey};
pub use verify::{verify, verify_opened};
