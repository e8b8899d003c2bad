//! See `tests/src/fuzzing/line.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lastwords_tests::fuzzing::line::run(input));
