//! What end-to-end tests are made of: sandboxes of real processes, publishers, players and checks.
//!
//! Owns the running of our programs as processes ([`Sandbox`]), synthetic sources ([`Fixture`],
//! [`Publication`]), an ACME server ([`Pebble`]), the engines that services run on ([`engines`]), viewers ([`FlvViewer`], [`RtmpPlayer`], [`hls::Viewer`], [`Browser`], [`Vlc`], `ffmpeg`)
//! and the checker of RFC 8216bis ([`hls::check`]). Imports no service: it knows them as programs, by their
//! ports and URLs. For tests only.

mod account;
mod balancer;
mod browser;
pub mod certificate;
mod collector;
mod encoder;
pub mod engines;
pub mod ffmpeg;
mod fixture;
mod flv_viewer;
pub mod friends;
pub mod hls;
pub mod http;
mod mail;
mod pebble;
mod ports;
mod process;
mod publication;
mod rtmp_wire;
mod sandbox;
mod script;
mod turn;
mod vlc;
mod wait;
mod witness;

pub use account::{Account, cookie, send};
pub use browser::{Browser, PageReport, Watch};
pub use collector::{Collector, SeenSpan};
pub use encoder::Encoder;
pub use fixture::{Fixture, TimedTag, is_keyframe, is_sequence_header};
pub use flv_viewer::{FlvViewer, SeenTag, StalledViewer, largest_gap};
pub use mail::MailServer;
pub use pebble::Pebble;
pub use ports::free_address;
pub use process::{Limits, Process};
pub use publication::{Chunking, End, Publication, Source};
pub use rtmp_wire::{Opening, RtmpPlayer, Wire, handshake, open_publisher};
pub use sandbox::{Builder, Engines, Layout, OWNER, Sandbox, Stream, StreamView, binary};
pub use script::script;
pub use turn::Turn;
pub use vlc::Vlc;
pub use wait::{eventually, within};
pub use witness::Witness;
