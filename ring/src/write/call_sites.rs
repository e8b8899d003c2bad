//! The call-site table: what is the same for every record of one place in the program, written once.
//!
//! The table is append-only. A writer takes words by one atomic addition, writes the payload, and commits the entry
//! by storing its first word; only then does any record name it. An id is the word offset of the entry, valid in its
//! ring alone. A full table is no error: records then carry target and place themselves.
//!
//! Names of levels are entries too. No record names them, so each has the id of the one before it, and the control page that
//! of the newest.

use crate::format::checksum::checksum;
use crate::format::layout::{entry_kind, entry_word};
use crate::format::filter::Filter;
use crate::format::level::Level;
use crate::format::placeholder::Placeholder;
use crate::atomics::{AtomicU64, Ordering};
use std::sync::Arc;

/// Longest payload of an entry in bytes; longer call sites are refused and logged as text.
pub const ENTRY_MAX: usize = 4096;

/// Longest name of a level in bytes; longer ones are cut.
pub const LEVEL_NAME_MAX: usize = 64;

/// Bytes of a command line that are kept.
const COMMAND_MAX: usize = 1024;

/// Id of the entry that holds the command line.
pub(crate) const COMMAND_ID: u32 = 1;

/// What a call site says of all its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSite {
    /// Level number.
    pub level: u16,
    /// Line in `file`, 0 if unknown.
    pub line: u32,
    /// Target, usually the module path.
    pub target: Arc<str>,
    /// Module path.
    pub module: Arc<str>,
    /// Source file.
    pub file: Arc<str>,
    /// Format string, empty for a facade's records.
    pub format: Arc<str>,
    /// Placeholders of the format string.
    pub placeholders: Vec<Placeholder>,
    /// Names of the fields that follow the message.
    pub fields: Vec<Arc<str>>,
}

/// A call site on its way into the table, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct CallSiteRef<'a> {
    /// Level number.
    pub level: u16,
    /// Line in `file`, 0 if unknown.
    pub line: u32,
    /// Target, usually the module path.
    pub target: &'a str,
    /// Module path.
    pub module: &'a str,
    /// Source file.
    pub file: &'a str,
    /// Format string, empty for a facade's records.
    pub format: &'a str,
    /// Placeholders of the format string.
    pub placeholders: &'a [Placeholder],
    /// Names of the fields that follow the message.
    pub fields: &'a [&'a str],
}

impl CallSiteRef<'_> {
    fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&self.level.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.fields.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&self.line.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.placeholders.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(bytemuck::cast_slice(self.placeholders));
        for text in [self.target, self.module, self.file, self.format].iter().chain(self.fields) {
            bytes.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        (bytes.len() <= ENTRY_MAX).then_some(bytes)
    }
}

impl CallSite {
    /// Decodes an entry's payload; None if it is not whole.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<CallSite> {
        let mut rest = payload;
        let level = u16::from_le_bytes(take(&mut rest)?);
        let count = u16::from_le_bytes(take(&mut rest)?);
        let line = u32::from_le_bytes(take(&mut rest)?);
        let placeholders = u16::from_le_bytes(take(&mut rest)?);
        let placeholders = (0..placeholders)
            .map(|_| take::<{ size_of::<Placeholder>() }>(&mut rest).map(|bytes| bytemuck::pod_read_unaligned(&bytes)))
            .collect::<Option<_>>()?;
        let mut text = || -> Option<Arc<str>> {
            let length = u16::from_le_bytes(take(&mut rest)?) as usize;
            let (text, after) = rest.split_at_checked(length)?;
            rest = after;
            std::str::from_utf8(text).ok().map(Arc::from)
        };
        let (target, module, file, format) = (text()?, text()?, text()?, text()?);
        let fields = (0..count).map(|_| text()).collect::<Option<_>>()?;
        Some(CallSite { level, line, target, module, file, format, placeholders, fields })
    }
}

/// A name that a process gave to a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelName {
    /// Id of the entry that was the newest of its kind before this one, 0 for none.
    pub previous: u32,
    /// The level.
    pub level: Level,
    /// Its name, at most [`LEVEL_NAME_MAX`] bytes; empty where the level is to be called as if it had none.
    pub name: String,
}

impl LevelName {
    fn encode(&self) -> Vec<u8> {
        let name = cut_name(&self.name);
        let mut bytes = Vec::with_capacity(8 + name.len());
        bytes.extend_from_slice(&self.previous.to_le_bytes());
        bytes.extend_from_slice(&self.level.number().to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes
    }

    /// Decodes an entry's payload; None if it is not whole.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<LevelName> {
        let mut rest = payload;
        let previous = u32::from_le_bytes(take(&mut rest)?);
        let level = Level::new(u16::from_le_bytes(take(&mut rest)?));
        let length = u16::from_le_bytes(take(&mut rest)?);
        let name = std::str::from_utf8(rest.get(..usize::from(length))?).ok()?;
        Some(LevelName { previous, level, name: cut_name(name).to_owned() })
    }
}

/// A level's name without what is beyond the longest one.
pub fn cut_name(name: &str) -> &str {
    let end = name.len().min(LEVEL_NAME_MAX);
    // At most three bytes back a character ends.
    let end = (end.saturating_sub(3)..=end).rfind(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

/// The writing side of the table.
#[derive(Debug, Clone, Copy)]
pub struct TableWriter<'a> {
    words: &'a [AtomicU64],
    used: &'a AtomicU64,
}

impl<'a> TableWriter<'a> {
    /// A writer on these words; `used` counts those taken.
    #[must_use]
    pub fn new(words: &'a [AtomicU64], used: &'a AtomicU64) -> Self {
        TableWriter { words, used }
    }

    /// Writes a call site and returns its id, or None if the table is full or the call site too long.
    #[must_use]
    pub fn register(&self, site: &CallSiteRef<'_>) -> Option<u32> {
        self.append(entry_kind::CALL_SITE, site.encode()?)
    }

    /// Writes a name of a level and returns its id, or None if the table is full. Readers find it once the control page
    /// says that it is the newest.
    #[must_use]
    pub fn name_level(&self, name: &LevelName) -> Option<u32> {
        self.append(entry_kind::LEVEL_NAME, name.encode())
    }

    /// Writes what is known of the process: its command line and its working directory, cut to what may stand in a table, and
    /// the filter that it begins with. It must come before all call sites.
    pub(crate) fn describe_process(&self, mut command: Vec<u8>, filter: &Filter, mut folder: Vec<u8>) {
        command.truncate(COMMAND_MAX);
        folder.truncate(COMMAND_MAX);
        let mut first = filter.record.number().to_le_bytes().to_vec();
        first.extend_from_slice(filter.directives.to_string().as_bytes());
        for (kind, entry) in
            [(entry_kind::COMMAND, command), (entry_kind::FIRST_FILTER, first), (entry_kind::FOLDER, folder)]
        {
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
        // TABLE:A, pairs with the checksum: who sees the commit word through memory also sees the payload.
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

/// Splits an entry's commit word into kind, payload length and checksum.
#[must_use]
pub fn split_entry_word(word: u64) -> (u8, usize, u32) {
    (word as u8, (word >> 8 & 0xff_ffff) as usize, (word >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site<'a>(target: &'a str, fields: &'a [&'a str]) -> CallSiteRef<'a> {
        CallSiteRef { level: 20, line: 7, target, module: "m", file: "f.rs", format: "{} ms", placeholders: &[], fields }
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
    fn a_level_name_decodes_to_what_it_was_cut_at_a_character() {
        let encode = |name: &str| LevelName { previous: 7, level: Level::new(25), name: name.to_owned() }.encode();
        let decode = |name: &str| LevelName::decode(&encode(name)).expect("whole");
        for name in ["NOTICE", "", "größer", &"x".repeat(LEVEL_NAME_MAX)] {
            assert_eq!(decode(name), LevelName { previous: 7, level: Level::new(25), name: name.to_owned() });
        }
        let long = format!("{}🦀", "x".repeat(LEVEL_NAME_MAX - 3));
        assert_eq!(decode(&long).name, "x".repeat(LEVEL_NAME_MAX - 3));
    }

    #[test]
    fn a_level_name_of_any_bytes_is_refused_or_cut() {
        let payload = |length: u16, name: &[u8]| [&[0, 0, 0, 0, 25, 0], &length.to_le_bytes()[..], name].concat();
        assert_eq!(LevelName::decode(&payload(3, b"ab")), None, "longer than the entry");
        assert_eq!(LevelName::decode(&payload(2, b"\xff\xfe")), None, "no UTF-8");
        assert_eq!(LevelName::decode(&payload(0, b"")[..7]), None, "no length");
        let name = |length, name: &[u8]| LevelName::decode(&payload(length, name)).expect("whole").name;
        assert_eq!(name(2, b"ab, and what a later version adds"), "ab");
        assert_eq!(name(4000, &[b'x'; 4000]), "x".repeat(LEVEL_NAME_MAX));
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
