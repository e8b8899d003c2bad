//! What a process requests for the files of its role, beyond what the header has room for: the fourth entry of the call-site
//! table, written before the ring is visible.
//!
//! The payload is a row of 64-bit numbers. A reader takes as many as it knows, and the defaults where there are fewer: in a
//! ring of an older program, or in one whose table has no room for the entry.

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
}

impl Default for FileSettings {
    fn default() -> FileSettings {
        FileSettings { keep_total: 0, keep_for_s: 0, crash_total: CRASH_TOTAL_DEFAULT }
    }
}

impl FileSettings {
    /// The entry's payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.keep_total, self.keep_for_s, self.crash_total].iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// What a payload says.
    #[must_use]
    pub fn decode(payload: &[u8]) -> FileSettings {
        let mut settings = FileSettings::default();
        let fields = [&mut settings.keep_total, &mut settings.keep_for_s, &mut settings.crash_total];
        for (field, number) in fields.into_iter().zip(payload.as_chunks::<8>().0) {
            *field = u64::from_le_bytes(*number);
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_were_written_and_what_is_missing_has_its_default() {
        let settings = FileSettings { keep_total: 1 << 40, keep_for_s: 86_400, crash_total: 7 };
        let mut bytes = settings.encode();
        assert_eq!(FileSettings::decode(&bytes), settings);
        bytes.extend_from_slice(&[9; 13]);
        assert_eq!(FileSettings::decode(&bytes), settings, "a newer program's");
        assert_eq!(FileSettings::decode(&[]), FileSettings::default());
        let first = FileSettings { keep_total: 1 << 40, ..FileSettings::default() };
        assert_eq!(FileSettings::decode(&bytes[..12]), first);
    }
}
