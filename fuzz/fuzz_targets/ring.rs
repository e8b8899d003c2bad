//! See `tests/src/fuzzing/ring.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lastwords_tests::fuzzing::ring::run(input));
