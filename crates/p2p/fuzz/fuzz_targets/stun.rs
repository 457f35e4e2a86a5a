//! Any datagram as a binding request or its answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2p::fuzzing::stun(input));
