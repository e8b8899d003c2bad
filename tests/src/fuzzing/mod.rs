//! What is done with bytes that a fuzzer made up. A flusher reads files that anybody may have written to, and one on
//! which it panics, hangs or allocates without bound silences every process of the machine, again after each restart.
//!
//! The targets are plain functions, so that libFuzzer (`fuzz/`) and the seeded mutations of `tests/fuzzed.rs` run the same.
//! Random changes hardly ever agree with a checksum, so all code behind one would stay dark. An input may therefore ask for the
//! checksums to be repaired, and then is what an attacker would write.

pub mod archive;
pub mod capture;
pub mod corpus;
pub mod image;
pub mod journal;
pub mod line;
pub mod program;
pub mod ring;

/// A target: takes any bytes, and panics where the library does what it must not.
pub type Target = fn(&[u8]);

/// All targets, by the names that their corpus folders have.
pub const TARGETS: [(&str, Target); 5] = [
    ("ring", ring::run),
    ("journal", journal::run),
    ("line", line::run),
    ("capture", capture::run),
    ("archive", archive::run),
];

/// The next bytes of an input, fewer at its end.
fn take<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(length.min(input.len()));
    *input = rest;
    taken
}

/// The next little-endian number of two bytes, 0 at the end.
fn number(input: &mut &[u8]) -> usize {
    take(input, 2).iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}
