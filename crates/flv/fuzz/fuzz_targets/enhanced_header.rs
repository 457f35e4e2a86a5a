//! See `flv::fuzzing::enhanced_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flv::fuzzing::enhanced_header(input));
