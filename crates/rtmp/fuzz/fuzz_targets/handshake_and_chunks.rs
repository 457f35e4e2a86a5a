//! See `rtmp::fuzzing::handshake_and_chunks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rtmp::fuzzing::handshake_and_chunks(input));
