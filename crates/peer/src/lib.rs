//! A peer of p2p-media-loader's swarms: data channels to pages and other peers, over one UDP port.
//!
//! [`Peer`] is the handle, one task behind it owns sockets and links. A link is one data channel, of one
//! stream, to one viewer. It *serves* what the [`Source`] has, as any page would, and can *fetch* from whoever
//! is at the other end. What a segment must look like to be served is the source's business: nothing is checked
//! here. The words are `p2p`'s, the transport is str0m's, who is linked with whom is the coordinator's.

mod addresses;
mod bucket;
mod counts;
mod download;
mod engine;
mod error;
mod handle;
mod link;
mod outer;
mod sdp;
mod socket;
mod source;
mod upload;
mod words;

pub use error::{BindError, FetchError, Refused};
pub use handle::{Events, Peer};
pub use source::{Inventory, Source};
pub use words::{CloseReason, Delivered, Event, LinkId, LinkState, Options, Outer};
