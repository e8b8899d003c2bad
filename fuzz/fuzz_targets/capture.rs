//! See `tests/src/fuzzing/capture.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lastwords_tests::fuzzing::capture::run(input));
