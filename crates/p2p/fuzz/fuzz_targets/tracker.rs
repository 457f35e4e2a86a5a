//! Any text as a message of a page, or to one.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2p::fuzzing::tracker(input));
