//! What a page posts as receipts, or honest ones with other bytes here and there.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| coordinator::fuzzing::receipts(input));
