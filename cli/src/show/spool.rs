//! What the rings of a role hold and no file has: rendered at once, because the rings are drained and overwritten meanwhile.
//!
//! In memory up to a size, beyond that in a file without a name.

use lastwords::{Error, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of all spools together that are kept in memory.
pub(crate) const MEMORY: usize = 8 << 20;

/// The records of one role, in the order of the drain.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    /// Of each record: where it begins, the lengths of its text and its JSON, and whose it is.
    entries: Vec<Entry>,
    size: u64,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    at: u64,
    text: u32,
    json: u32,
    /// UUID of its ring, shortened.
    pub(crate) ring: u32,
    /// Its lane there.
    pub(crate) lane: u32,
    /// Its last sequence.
    pub(crate) last: u64,
}

impl Spool {
    /// Adds a record, in both forms. `memory` is what may still be kept in memory.
    pub(crate) fn add(&mut self, of: (u32, u32, u64), text: &[u8], json: &[u8], memory: &mut usize) -> Result<()> {
        let (ring, lane, last) = of;
        self.entries.push(Entry { at: self.size, text: text.len() as u32, json: json.len() as u32, ring, lane, last });
        let size = text.len() + json.len();
        self.size += size as u64;
        if self.file.is_none() && *memory < size {
            let failed = |source| Error::Io { doing: "make a file", path: std::env::temp_dir(), source };
            let file = unnamed().map_err(failed)?;
            file.write_all_at(&self.memory, 0).map_err(failed)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &self.file {
            None => {
                *memory -= size;
                self.memory.extend_from_slice(text);
                self.memory.extend_from_slice(json);
                Ok(())
            }
            Some(file) => {
                let at = self.size - size as u64;
                let written =
                    file.write_all_at(text, at).and_then(|()| file.write_all_at(json, at + text.len() as u64));
                written.map_err(|source| Error::Io { doing: "write a file", path: std::env::temp_dir(), source })
            }
        }
    }

    /// Keeps only the records for which `keep` is true.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(keep);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The records that are there.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads a record into `buffer`; returns the length of its text, behind which is its JSON.
    pub(crate) fn read(&self, number: usize, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let Some(entry) = self.entries.get(number) else { return Ok(0) };
        let size = entry.text as usize + entry.json as usize;
        buffer.clear();
        match &self.file {
            Some(file) => {
                buffer.resize(size, 0);
                file.read_exact_at(buffer, entry.at)?;
            }
            None => buffer.extend_from_slice(&self.memory[entry.at as usize..entry.at as usize + size]),
        }
        Ok(entry.text as usize)
    }
}

/// A file of this user's without a name.
fn unnamed() -> io::Result<File> {
    let (folder, flags) = (std::env::temp_dir(), OFlags::RDWR | OFlags::CLOEXEC);
    Ok(rustix::fs::open(&folder, flags | OFlags::TMPFILE, Mode::RUSR | Mode::WUSR)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_the_same_in_memory_and_in_a_file() {
        for mut memory in [usize::MAX, 1000, 0] {
            let mut spool = Spool::default();
            for n in 0..100u64 {
                let (text, json) = (format!("text {n}\n"), format!("{{{n}}}\n"));
                spool.add((1, 2, n), text.as_bytes(), json.as_bytes(), &mut memory).expect("added");
            }
            spool.retain(|entry| entry.last % 2 == 1);
            assert_eq!(spool.len(), 50);
            let mut buffer = Vec::new();
            let text = spool.read(49, &mut buffer).expect("read");
            assert_eq!((&buffer[..text], &buffer[text..]), (&b"text 99\n"[..], &b"{99}\n"[..]));
        }
    }
}
