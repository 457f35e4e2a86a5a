//! Any bytes as the configuration record of any codec.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| media::fuzzing::codec_configuration(input));
