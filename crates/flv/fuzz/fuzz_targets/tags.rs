//! See `flv::fuzzing::tags`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flv::fuzzing::tags(input));
