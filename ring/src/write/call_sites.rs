//! The writing side of the call-site table.

use crate::atomics::{AtomicU64, Ordering};
use crate::format::call_site::{CallSiteRef, LevelName};
use crate::format::checksum::checksum;
use crate::format::file_settings::FileSettings;
use crate::format::filter::Filter;
use crate::format::layout::{entry_kind, entry_word};

/// Bytes of a command line that are kept.
const COMMAND_MAX: usize = 1024;

/// The writing side of the table.
#[derive(Debug, Clone, Copy)]
pub struct TableWriter<'a> {
    words: &'a [AtomicU64],
    used: &'a AtomicU64,
}

impl<'a> TableWriter<'a> {
    /// A writer on these words; `used` is the number of words taken.
    #[must_use]
    pub fn new(words: &'a [AtomicU64], used: &'a AtomicU64) -> Self {
        TableWriter { words, used }
    }

    /// Writes a call site and returns its id, or None if the table is full or the call site too long.
    #[must_use]
    pub fn register(&self, site: &CallSiteRef<'_>) -> Option<u32> {
        self.append(entry_kind::CALL_SITE, site.encode()?)
    }

    /// Writes a custom level name and returns its id, or None if the table is full. Readers find it once the control page names
    /// it as the newest.
    #[must_use]
    pub fn name_level(&self, name: &LevelName) -> Option<u32> {
        self.append(entry_kind::LEVEL_NAME, name.encode())
    }

    /// Writes a description of the process: its command line and its working directory, truncated to what the table allows,
    /// the filter that it begins with, and what it requests for its files. It must precede all call sites.
    pub(crate) fn describe_process(
        &self,
        mut command: Vec<u8>,
        filter: &Filter,
        mut folder: Vec<u8>,
        files: &FileSettings,
    ) {
        command.truncate(COMMAND_MAX);
        folder.truncate(COMMAND_MAX);
        let mut first = filter.ring_level.number().to_le_bytes().to_vec();
        first.extend_from_slice(filter.directives.to_string().as_bytes());
        for (kind, entry) in [
            (entry_kind::COMMAND, command),
            (entry_kind::FIRST_FILTER, first),
            (entry_kind::FOLDER, folder),
            (entry_kind::FILES, files.encode()),
        ] {
            // A table without room for it has room for next to nothing.
            let _ = self.append(kind, entry);
        }
    }

    fn append(&self, kind: u8, mut payload: Vec<u8>) -> Option<u32> {
        let needed = 1 + payload.len().div_ceil(8) as u64;
        // Word 0 stays unused, so that no entry has id 0.
        let start = 1 + self.take_words(needed)? as usize;
        let entry = self.words.get(start..start + needed as usize)?;
        let commit = entry_word(kind, payload.len() as u32, checksum(&payload));
        payload.resize(payload.len().next_multiple_of(8), 0);
        for (cell, chunk) in entry[1..].iter().zip(payload.chunks_exact(8)) {
            let (word, _) = chunk.split_first_chunk::<8>()?;
            cell.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        // TABLE:A, pairs with the checksum: a commit word visible through memory implies a visible payload.
        entry[0].store(commit, Ordering::Release);
        Some(start as u32)
    }

    fn take_words(&self, needed: u64) -> Option<u64> {
        let room = self.words.len() as u64 - 1;
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(needed).filter(|after| *after <= room)
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::call_site::{CallSite, ENTRY_MAX, split_entry_word};

    fn site<'a>(target: &'a str, fields: &'a [&'a str]) -> CallSiteRef<'a> {
        CallSiteRef { level: 20, line: 7, target, module: "m", file: "f.rs", format: "{} ms", placeholders: &[], types: &[], fields }
    }

    #[test]
    fn a_registered_site_decodes_to_what_it_was() {
        let (words, used): (Vec<AtomicU64>, _) = ((0..64).map(AtomicU64::new).collect(), AtomicU64::new(0));
        let table = TableWriter::new(&words, &used);
        let id = table.register(&site("app::core", &["camera"])).expect("room") as usize;
        let (kind, length, sum) = split_entry_word(words[id].load(Ordering::Relaxed));
        let bytes: Vec<u8> = words[id + 1..].iter().flat_map(|w| w.load(Ordering::Relaxed).to_le_bytes()).collect();
        assert_eq!((kind, sum), (entry_kind::CALL_SITE, checksum(&bytes[..length]) as u32));
        let found = CallSite::decode(&bytes[..length]).expect("whole");
        assert_eq!((&*found.target, found.line, &*found.fields[0]), ("app::core", 7, "camera"));
        assert_eq!(CallSite::decode(&bytes[..length - 1]), None, "a cut entry is refused");
    }

    #[test]
    fn a_full_table_refuses_and_stays_usable() {
        let (words, used): (Vec<AtomicU64>, _) = ((0..16).map(|_| AtomicU64::new(0)).collect(), AtomicU64::new(0));
        let table = TableWriter::new(&words, &used);
        assert!(table.register(&site("first", &[])).is_some());
        assert_eq!(table.register(&site("second, which is far too long for what is left of the table", &[])), None);
        assert_eq!(table.register(&site(&"x".repeat(ENTRY_MAX), &[])), None);
    }
}
