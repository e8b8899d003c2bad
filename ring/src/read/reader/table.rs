//! The call-site table: call sites, custom level names, and what the process said of itself when it began.

use super::{RingReader, Source};
use crate::error::Result;
use crate::format::call_site::{COMMAND_ID, CallSite, ENTRY_MAX, LevelName, split_entry_word};
use crate::format::checksum::checksum;
use crate::format::file_settings::FileSettings;
use crate::format::filter::Filter;
use crate::format::layout::{Control, entry_kind};
use crate::format::level::Level;
use crate::format::slot::read_word;
use std::collections::BTreeSet;
use std::mem::offset_of;
use std::sync::Arc;

impl<S: Source> RingReader<S> {
    /// Looks a call site up; None for id 0, another kind, or an entry that is not whole.
    ///
    /// # Errors
    /// As pread(2).
    pub fn call_site(&self, id: u32) -> Result<Option<CallSite>> {
        Ok(self.entry_of(id, entry_kind::CALL_SITE)?.and_then(|payload| CallSite::decode(&payload)))
    }

    /// The targets of all call sites, including those of other front ends, as far as the table had room for them.
    ///
    /// # Errors
    /// As pread(2).
    pub fn targets(&self) -> Result<BTreeSet<Arc<str>>> {
        let mut table = vec![0u8; self.geometry.table_size()];
        self.fill(&mut table, self.geometry.table_offset())?;
        let (mut targets, mut offset) = (BTreeSet::new(), size_of::<u64>());
        loop {
            let (kind, length, sum) = split_entry_word(read_word(&table, offset));
            let payload = table.get(offset + 8..offset + 8 + length).filter(|_| kind != 0 && length <= ENTRY_MAX);
            // An entry that is being written has no length yet: the ones after it are seen the next time.
            let Some(payload) = payload else { return Ok(targets) };
            if kind == entry_kind::CALL_SITE && checksum(payload) as u32 == sum {
                targets.extend(CallSite::decode(payload).map(|site| site.target));
            }
            offset += 8 + length.next_multiple_of(8);
        }
    }

    /// Id of the newest custom level name; 0 for none.
    ///
    /// # Errors
    /// As pread(2).
    pub fn newest_level_name(&self) -> Result<u32> {
        let mut word = [0u8; 8];
        self.fill(&mut word, self.geometry.control_offset() + offset_of!(Control, level_names) as u64)?;
        Ok(u32::try_from(u64::from_le_bytes(word)).unwrap_or(0))
    }

    /// Looks up a custom level name; None for id 0, another kind, or an entry that is not whole.
    ///
    /// # Errors
    /// As pread(2).
    pub fn level_name(&self, id: u32) -> Result<Option<LevelName>> {
        Ok(self.entry_of(id, entry_kind::LEVEL_NAME)?.and_then(|payload| LevelName::decode(&payload)))
    }

    /// The process's command line, possibly truncated; empty if the ring does not hold it.
    ///
    /// # Errors
    /// As pread(2).
    pub fn command(&self) -> Result<Vec<String>> {
        let Some(bytes) = self.entry_of(COMMAND_ID, entry_kind::COMMAND)? else { return Ok(Vec::new()) };
        let arguments = bytes.strip_suffix(b"\0").unwrap_or(&bytes).split(|byte| *byte == 0);
        Ok(arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect())
    }

    /// The filter that the process began with; None if the ring does not hold it.
    ///
    /// # Errors
    /// As pread(2).
    pub fn first_filter(&self) -> Result<Option<Filter>> {
        let Some(entry) = self.entry_behind_command(1, entry_kind::FIRST_FILTER)? else { return Ok(None) };
        let parsed = entry.split_first_chunk::<2>().and_then(|(record, text)| {
            let directives = std::str::from_utf8(text).ok()?.parse().ok()?;
            Some(Filter { directives, ring_level: Level::new(u16::from_le_bytes(*record)) })
        });
        Ok(parsed)
    }

    /// The process's working directory when it created the ring, possibly truncated; None if the ring does not hold it.
    ///
    /// # Errors
    /// As pread(2).
    pub fn folder(&self) -> Result<Option<String>> {
        let entry = self.entry_behind_command(2, entry_kind::FOLDER)?;
        Ok(entry.filter(|path| !path.is_empty()).map(|path| String::from_utf8_lossy(&path).into_owned()))
    }

    /// What the process requests for the files of its role; the defaults if the ring does not hold it.
    ///
    /// # Errors
    /// As pread(2).
    pub fn file_settings(&self) -> Result<FileSettings> {
        let entry = self.entry_behind_command(3, entry_kind::FILES)?;
        Ok(entry.map_or_else(FileSettings::default, |payload| FileSettings::decode(&payload)))
    }

    /// The entry that many places after the command line, if it is of this kind.
    fn entry_behind_command(&self, places: usize, wanted: u8) -> Result<Option<Vec<u8>>> {
        let mut id = COMMAND_ID;
        for _ in 0..places {
            let mut word = [0u8; 8];
            self.fill(&mut word, self.geometry.table_offset() + u64::from(id) * 8)?;
            let (_, length, _) = split_entry_word(u64::from_le_bytes(word));
            if length > ENTRY_MAX {
                return Ok(None);
            }
            id += 1 + length.div_ceil(8) as u32;
        }
        self.entry_of(id, wanted)
    }

    fn entry_of(&self, id: u32, wanted: u8) -> Result<Option<Vec<u8>>> {
        let offset = u64::from(id) * 8;
        if id == 0 || offset + 8 > self.geometry.table_size() as u64 {
            return Ok(None);
        }
        let mut word = [0u8; 8];
        self.fill(&mut word, self.geometry.table_offset() + offset)?;
        let (kind, length, sum) = split_entry_word(u64::from_le_bytes(word));
        let end = offset + 8 + length as u64;
        if kind != wanted || length > ENTRY_MAX || end > self.geometry.table_size() as u64 {
            return Ok(None);
        }
        let mut payload = vec![0u8; length];
        self.fill(&mut payload, self.geometry.table_offset() + offset + 8)?;
        Ok((checksum(&payload) as u32 == sum).then_some(payload))
    }
}
