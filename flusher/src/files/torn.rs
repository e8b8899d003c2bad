//! Lines that were cut off, and the size of the pieces in which a file is searched for them.

use lastwords_ring::place::folder::JSON_ENDING;

/// Size of the pieces in which a file is read to be looked through.
pub(crate) const COMPARE: usize = 64 << 10;
/// What is put to the end of a line of text that has none.
const CUT_OFF: &[u8] = b" [lastwords: cut off here]\n";
/// The same for JSON: half an object shows by itself, and to a whole one nothing may be added.
const CUT_OFF_JSON: &[u8] = b"\n";

/// What ends a line without an end in the log file of this name.
pub(crate) fn cut_off(name: &str) -> &'static [u8] {
    if name.ends_with(JSON_ENDING) { CUT_OFF_JSON } else { CUT_OFF }
}
