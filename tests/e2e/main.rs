//! Streamr from outside: its programs as processes, real publishers and players.
//!
//! Needs the programs (`cargo build --workspace --bins`), ffmpeg, VLC, pebble, Chromium with `npm ci` in
//! `tests/browser`, and `STREAMR_TEST_FFMPEG_CURRENT`; `./scripts/test` sees to all of it. Tests that kill
//! nothing share one `streamr`, each with a stream of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::large_futures,
    reason = "a test that can't go on shall say so; a future on a test's stack hurts nobody"
)]

mod abuse;
mod accounts;
mod acme;
mod attacks;
mod audience;
mod authz;
mod codecs;
mod configuration;
mod continuity;
mod control;
mod fanout;
mod flood;
mod friends;
mod garbage;
mod identity;
mod keeper;
mod keys;
mod limits;
mod listen;
mod newcomer;
mod outages;
mod pages;
mod playback;
mod playlists;
mod plugs;
mod private;
mod restart;
mod rights;
mod schema;
mod start;
mod strangers;
mod support;
mod takeover;
mod thumbnails;
mod timelines;
mod tls;
mod tracing;
mod watch_page;
