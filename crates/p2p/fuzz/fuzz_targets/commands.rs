//! What comes through a data channel, message by message.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2p::fuzzing::commands(input));
