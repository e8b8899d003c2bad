//! What a log folder holds after a run: which numbered messages are whole in it, how often, and what is torn.

use crate::message;
use std::fs::File;
use std::io::{BufRead, BufReader, Result};
use std::path::Path;

/// The messages of one log folder.
#[derive(Debug)]
pub(crate) struct Found {
    seen: Vec<bool>,
    /// Messages that are there more than once.
    pub(crate) doubled: u64,
    /// Lines that end in the middle of a message, or without a newline.
    pub(crate) torn: u64,
}

impl Found {
    /// Reads all files of `folder`, but none of folders in it: that is where lastwords has its rings. Its crash files hold
    /// what the ring held once more, so a line that stood there alone would be lost.
    pub(crate) fn read(folder: &Path) -> Result<Found> {
        let mut found = Found { seen: Vec::new(), doubled: 0, torn: 0 };
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && !entry.file_name().to_string_lossy().ends_with(".crash.log") {
                found.read_file(&entry.path())?;
            }
        }
        Ok(found)
    }

    fn read_file(&mut self, path: &Path) -> Result<()> {
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let ended = line.pop_if(|byte| *byte == b'\n').is_some();
            match message::whole(&line) {
                Some(number) if ended => self.note(number),
                _ => self.torn += u64::from(!ended || message::is_about_frame(&line)),
            }
            line.clear();
        }
        Ok(())
    }

    fn note(&mut self, number: u64) {
        let index = number as usize;
        if index >= self.seen.len() {
            self.seen.resize((index + 1).next_power_of_two(), false);
        }
        self.doubled += u64::from(self.seen[index]);
        self.seen[index] = true;
    }

    /// How many of the messages below `count` are there.
    pub(crate) fn below(&self, count: u64) -> u64 {
        self.seen.iter().take(count as usize).filter(|seen| **seen).count() as u64
    }
}

/// Bytes in all files of a log folder.
pub(crate) fn bytes(folder: &Path) -> Result<u64> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}
