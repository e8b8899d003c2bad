//! See `tests/src/fuzzing/journal.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lastwords_tests::fuzzing::journal::run(input));
