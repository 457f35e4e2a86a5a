//! An edge's list of digests, or an honest one with other bytes here and there.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| node::fuzzing::digests(input));
