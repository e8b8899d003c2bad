//! What a process requests for the files of its role, beyond what the header has room for: the fourth entry of the call-site
//! table, written before the ring is visible.
//!
//! The payload is a row of 64-bit numbers. A reader takes as many as it knows, and the defaults where there are fewer: in a
//! ring of an older program, or in one whose table has no room for the entry.

use crate::format::compress::Compress;
use crate::format::rotate_every::RotateEvery;
use crate::format::text_layout::TextLayout;

/// Most bytes of a role's crash files, unless the process says otherwise: 256 MiB.
pub const CRASH_TOTAL_DEFAULT: u64 = 256 << 20;

/// Limits on the files of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSettings {
    /// Most bytes of all its log files together; 0 for no limit.
    pub keep_total: u64,
    /// Seconds after its last line at which a rotated file is removed; 0 for never.
    pub keep_for_s: u64,
    /// Most bytes of its crash files; 0 for no limit.
    pub crash_total: u64,
    /// At which boundaries of time its log files are rotated.
    pub rotate_every: RotateEvery,
    /// What becomes of rotated files.
    pub compress: Compress,
    /// How its text lines are laid out.
    pub layout: TextLayout,
}

impl Default for FileSettings {
    fn default() -> FileSettings {
        FileSettings {
            keep_total: 0,
            keep_for_s: 0,
            crash_total: CRASH_TOTAL_DEFAULT,
            rotate_every: RotateEvery::Never,
            compress: Compress::Never,
            layout: TextLayout::default(),
        }
    }
}

impl FileSettings {
    /// The entry's payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let FileSettings { keep_total, keep_for_s, crash_total, rotate_every, compress, layout } = *self;
        let numbers = [keep_total, keep_for_s, crash_total, rotate_every as u64, compress as u64, layout.number()];
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// What a payload says.
    #[must_use]
    pub fn decode(payload: &[u8]) -> FileSettings {
        let default = FileSettings::default();
        let numbers = payload.as_chunks::<8>().0;
        let number = |index: usize| numbers.get(index).map(|number| u64::from_le_bytes(*number));
        FileSettings {
            keep_total: number(0).unwrap_or(default.keep_total),
            keep_for_s: number(1).unwrap_or(default.keep_for_s),
            crash_total: number(2).unwrap_or(default.crash_total),
            rotate_every: number(3).map_or(default.rotate_every, RotateEvery::of_number),
            compress: number(4).map_or(default.compress, Compress::of_number),
            layout: number(5).map_or(default.layout, TextLayout::of_number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_were_written_and_what_is_missing_has_its_default() {
        let layout = TextLayout { offset: true, ..TextLayout::default() };
        let settings = FileSettings {
            keep_total: 1 << 40,
            keep_for_s: 86_400,
            crash_total: 7,
            rotate_every: RotateEvery::Day,
            compress: Compress::Zstd,
            layout,
        };
        let mut bytes = settings.encode();
        assert_eq!(FileSettings::decode(&bytes), settings);
        bytes.extend_from_slice(&[9; 13]);
        assert_eq!(FileSettings::decode(&bytes), settings, "a newer program's");
        assert_eq!(FileSettings::decode(&[]), FileSettings::default());
        let first = FileSettings { keep_total: 1 << 40, ..FileSettings::default() };
        assert_eq!(FileSettings::decode(&bytes[..12]), first);
    }
}
