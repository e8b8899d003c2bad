//! See `tests/src/fuzzing/archive.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lastwords_tests::fuzzing::archive::run(input));
