//! HTTP Live Streaming (RFC 8216bis): cutting a stream into segments and parts, playlists, and
//! blocking reloads.
//!
//! Pure: samples and facts in, cuts and text out. `fmp4` makes bytes of the cuts, `delivery` keeps
//! them, answers HTTP and owns every clock.
//!
//! - [`Segmenter`] decides which samples form which part and segment.
//! - [`Playlist`] renders the media playlist, in its two flavours; [`Multivariant`] the one above it.
//! - [`ReloadQuery`] and [`resolve`] decide what a low-latency player's query waits for.
#![warn(clippy::indexing_slicing)]

mod error;
#[doc(hidden)]
pub mod fuzzing;
mod multivariant;
mod playlist;
mod reload;
mod render;
mod segmenter;
mod timing;

pub use error::Error;
pub use multivariant::Multivariant;
pub use playlist::{Part, Playlist, Segment};
pub use reload::{Decision, LiveEdge, ReloadQuery, Skip, resolve};
pub use render::{Flavour, RenderOptions};
pub use segmenter::{Cut, PartCut, SegmentCut, Segmenter, SegmenterOptions};
