//! Any text as the query of a playlist request.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hls::fuzzing::ll_hls_query(input));
