//! Torn lines, and the size of the pieces in which a file is searched for them.

use lastwords_ring::place::folder::JSON_ENDING;

/// Size of the pieces in which a file is searched.
pub(crate) const COMPARE: usize = 64 << 10;
/// Appended to a torn line of text.
const CUT_OFF: &[u8] = b" [lastwords: cut off here]\n";
/// Appended to a torn JSON line: half an object is evident by itself, and a whole one must stay as it is.
const CUT_OFF_JSON: &[u8] = b"\n";

/// The text that ends a torn line in the log file of this name.
pub(crate) fn cut_off(name: &str) -> &'static [u8] {
    if name.ends_with(JSON_ENDING) { CUT_OFF_JSON } else { CUT_OFF }
}
