//! A live stream's window and its HTTP face: LL-HLS, whole-segment HLS, digests and HTTP-FLV.
//!
//! Owns what viewers are served: the segments and parts kept, the playlists over them, blocking reload,
//! the FLV fan-out, who may watch, and who counts as a viewer. Fed by [`WindowEvent`]s, from a muxer beside it or from
//! an upstream: it doesn't know which. Knows no coordinator and no gRPC.

mod access;
mod batch;
mod digest;
mod event;
pub mod fanout;
mod http;
mod rendered;
mod served;
mod sessions;
mod stream;
mod thumbnail;
mod window;

pub use batch::{Batch, Batcher, TagFormat};
pub use digest::{DigestKey, SegmentDigest};
pub use event::{EpochInfo, WindowEvent};
pub use http::{Catalog, routes};
pub use served::ServedMinute;
pub use stream::{FLV_BOUNDS, Stream};
pub use thumbnail::{Keyframe, Thumbnail};
pub use window::Refused;

/// The name of the one rendition that a stream has.
pub const RENDITION: &str = "main";
