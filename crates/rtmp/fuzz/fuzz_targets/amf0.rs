//! See `rtmp::fuzzing::amf0`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rtmp::fuzzing::amf0(input));
