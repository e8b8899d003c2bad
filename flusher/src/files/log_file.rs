//! A log file: where the next bytes go.
//!
//! Another program may delete, rename, truncate or replace the current file at any moment, as log rotation does. The file is
//! open for appending, so that no write leaves a hole behind a truncated end; each write is followed by a check that the lines
//! are in a file that has a name, and if they are not, they are written again. So nothing is lost, and at most the last batch
//! is duplicated.

use crate::files::line_layout::HEAD_MAX;
use crate::files::notices;
use crate::files::rotation::path_of;
use crate::files::torn::{COMPARE, cut_off};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::access::Access;
use lastwords_ring::place::descriptor::{Kept, Opened, is_lost};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::open::{self, PRIVATE};
use rustix::fs::{FallocateFlags, FileType, Mode, OFlags, Stat};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A batch of so many bytes shows that more will follow: then space is reserved, because a file system that is asked for it
/// page by page takes twice as long to write.
const BUSY: usize = 64 << 10;
/// Space that is reserved at a time.
const RESERVE: u64 = 2 << 20;

/// Unit of a file's allocated space.
const BLOCK: u64 = 512;
/// Space that a file may have behind its end, because file systems allocate by blocks of their own sizes.
const SPARE: u64 = 32 << 10;

/// Tries to write a batch into a file that is repeatedly deleted or truncated.
const REWRITES: u32 = 8;
/// Tries to open a file whose name is repeatedly given to something else.
const TRIES: u32 = 8;
/// How far from the file's end a batch is searched for after another program wrote to the file.
const NEAR: u64 = 64 << 10;

/// An external modification of a log file, to be logged.
pub(crate) type Event = (Level, String);

/// A current log file.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    cut_off: &'static [u8],
    file: Kept,
    identity: (u64, u64),
    size: u64,
    /// Up to where space has been reserved.
    reserved: u64,
    /// The file ends in the middle of a line that another program wrote.
    needs_newline: bool,
    /// Its name is new and not yet synced.
    is_new: bool,
    /// Something was written since the last sync.
    unsynced: bool,
    event: Option<Event>,
    /// Mode and group.
    access: Access,
}

impl LogFile {
    /// Opens the current file of this name, created if missing. What has its name and is not a regular file of its own, but a
    /// symbolic link, a folder, a hard link to another file, is renamed and never written to; so is a file that may not be
    /// written to.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be inspected, renamed, opened or created.
    pub fn open(folder: &Folder, log: &str) -> Result<LogFile> {
        LogFile::open_at(&folder.log_file(log), cut_off(log))
    }

    /// Opens the file that the journal means, see [`path_of`].
    ///
    /// # Errors
    /// As [`LogFile::open`], or if the folder cannot be listed.
    pub fn open_meant(folder: &Folder, log: &str, identity: (u64, u64)) -> Result<LogFile> {
        LogFile::open_at(&path_of(folder, log, identity)?, cut_off(log))
    }

    fn open_at(path: &Path, cut_off: &'static [u8]) -> Result<LogFile> {
        let (mut event, mut is_new) = (None, false);
        let mut tries = 0..TRIES;
        loop {
            let (moved, fresh) = move_aside(path)?;
            (event, is_new) = (moved.or(event), is_new || fresh);
            let last = tries.next().is_none();
            let error = match open_to_append(path) {
                Ok(file) => match LogFile::of(path, cut_off, file, event.take())? {
                    Some(opened) => return Ok(LogFile { is_new, ..opened }),
                    None => io::Error::other("something else takes its name all the time"),
                },
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !last && open::look(path).is_ok() => {
                    event = Some((Level::WARNING, notices::unwritable(&rename_aside(path)?)));
                    continue;
                }
                Err(error) => error,
            };
            // Something else took the name since the check.
            if last || !open::is_another_kind(path, FileType::RegularFile, &error) {
                return Err(Error::io("open the log file", path)(error));
            }
        }
    }

    /// None if the file has changed since the check.
    fn of(path: &Path, cut_off: &'static [u8], file: Opened, event: Option<Event>) -> Result<Option<LogFile>> {
        let metadata = file.metadata().map_err(Error::io("inspect the log file", path))?;
        let size = metadata.len();
        let mut last = [b'\n'];
        if size > 0 {
            match file.read_exact_at(&mut last, size - 1) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                other => other.map_err(Error::io("read the log file", path))?,
            }
        }
        let identity = (metadata.dev(), metadata.ino());
        let file = Kept::new(file).map_err(Error::io("inspect the log file", path))?;
        let path = path.to_owned();
        let needs_newline = last != [b'\n'];
        // Another flusher may have written to it and died before its sync.
        let unsynced = size > 0;
        let (reserved, is_new, access) = (0, false, Access::default());
        let opened =
            LogFile { path, cut_off, file, identity, size, reserved, needs_newline, is_new, unsynced, event, access };
        Ok((metadata.is_file() && metadata.nlink() <= 1).then_some(opened))
    }

    /// Gives the file the mode and the group that are asked for. If that fails, it stays private, which is logged.
    pub(crate) fn share(&mut self, access: Access) {
        self.access = access;
        if let Err(error) = self.file().and_then(|file| access.give(file)) {
            self.event.get_or_insert_with(|| (Level::WARNING, notices::not_shared(&error)));
        }
    }

    /// An external modification of the file, returned once.
    pub(crate) fn take_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// Device and inode.
    #[must_use]
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Where the next bytes go.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether a newline must come first, because another program's last line has none.
    #[must_use]
    pub fn needs_newline(&self) -> bool {
        self.needs_newline
    }

    /// The external modification of the file. None if the path still leads to it and its size is unchanged.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be inspected, which proves no modification.
    pub(crate) fn changed(&mut self) -> Result<Option<Event>> {
        let look = || Error::io("inspect the log file", &self.path);
        let found = open::look_for(&self.path).map_err(look())?;
        let is_it = |found: &Stat| (found.st_dev, found.st_ino) == self.identity;
        let at_path = found.filter(is_it).map(|found| found.st_size as u64);
        if mutant::is(Mutant::ChangeUnseen) {
            return Ok(None);
        }
        Ok(match at_path {
            Some(size) if size == self.size => None,
            Some(size) if size < self.size => Some((Level::WARNING, notices::file_cut(self.size, size))),
            Some(size) => Some((Level::WARNING, notices::file_grown(size - self.size))),
            None if self.file.file().and_then(File::metadata).map_err(look())?.nlink() > 0 => {
                Some((Level::INFO, notices::file_renamed().to_owned()))
            }
            None => Some((Level::WARNING, notices::file_removed().to_owned())),
        })
    }

    /// Writes `bytes` at the file's end.
    ///
    /// # Errors
    /// [`Error::Io`]. Part of the bytes may be in the file; [`LogFile::redo`] goes on from there.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.append_from(bytes, 0)
    }

    /// Like [`LogFile::append`], where the first `there` bytes are at the end already.
    fn append_from(&mut self, bytes: &[u8], there: usize) -> Result<()> {
        self.write(&bytes[there..])?;
        for _ in 0..REWRITES {
            if self.holds(&bytes[there..])? {
                return Ok(());
            }
            let event = self.changed()?;
            let fresh = LogFile::open_at(&self.path, self.cut_off)?;
            *self = LogFile { event: fresh.event.or(event), access: self.access, ..fresh };
            self.share(self.access);
            self.begin_line(bytes)?;
            self.write(bytes)?;
        }
        Err(Error::io("write", &self.path)(io::Error::other("somebody else changes it all the time")))
    }

    /// The open file. If the descriptor was closed, it is reopened, unless another file has its name now.
    fn file(&mut self) -> io::Result<&File> {
        if self.file.file().is_err_and(|error| is_lost(&error)) {
            let again = Kept::new(open_to_append(&self.path)?)?;
            if again.identity() != self.file.identity() {
                return Err(io::Error::other("another file has taken its name"));
            }
            self.file = again;
        }
        self.file.file()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.reserve(bytes.len());
        let written = self.file().and_then(|mut file| file.write_all(bytes));
        written.map_err(Error::io("write", &self.path))?;
        self.size += bytes.len() as u64;
        self.needs_newline = false;
        self.unsynced = true;
        Ok(())
    }

    /// Writes a line when names can no longer be checked, so another file may have the name by now.
    pub(crate) fn append_at_last(&mut self, line: &[u8]) -> Result<()> {
        self.begin_line(line)?;
        self.write(line)
    }

    /// Writes what was appended since the last sync to the disk. Returns whether its name has to be synced too.
    ///
    /// # Errors
    /// [`Error::Io`] as fdatasync(2).
    pub fn sync(&mut self) -> Result<bool> {
        if self.unsynced {
            self.file().and_then(File::sync_data).map_err(Error::io("sync the log file", &self.path))?;
            self.unsynced = false;
        }
        Ok(std::mem::take(&mut self.is_new))
    }

    /// Ends a line that another program left unfinished, unless `bytes` do.
    fn begin_line(&mut self, bytes: &[u8]) -> Result<()> {
        let due = self.needs_newline && !bytes.starts_with(self.cut_off);
        if due { self.write(self.cut_off) } else { Ok(()) }
    }

    /// Whether `bytes`, which were just written, are in the file as lines of their own, and the file has a name.
    fn holds(&mut self, bytes: &[u8]) -> Result<bool> {
        let found = self.file().and_then(File::metadata).map_err(Error::io("inspect the log file", &self.path))?;
        if mutant::is(Mutant::WriteUnchecked) {
            return Ok(true);
        }
        if found.nlink() == 0 || found.len() == self.size {
            return Ok(found.nlink() > 0);
        }
        // Another program truncated the file or wrote to it at this very moment.
        let span = found.len().min(bytes.len() as u64 + NEAR);
        // The byte before shows whether a line begins there; at the file's start one does.
        let before = u64::from(found.len() > span);
        let mut tail = vec![b'\n'; span as usize + 1];
        let start = found.len() - span - before;
        match self.file().and_then(|file| file.read_exact_at(&mut tail[1 - before as usize..], start)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other.map_err(Error::io("read the log file", &self.path))?,
        }
        let at_line = |start: &usize| bytes.starts_with(self.cut_off) || tail[*start] == b'\n';
        let mut places = (0..tail.len().saturating_sub(bytes.len())).filter(at_line);
        Ok(places.any(|start| tail[start + 1..].starts_with(bytes)))
    }

    /// Reserves space for a busy file. The size stays as it is, and so does everything if the disk is too full for it.
    fn reserve(&mut self, length: usize) {
        let end = self.size + length as u64;
        if length >= BUSY && end > self.reserved {
            self.reserved = end + RESERVE;
            let (size, more) = (self.size, self.reserved - self.size);
            let _ = self.file().map(|file| rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, size, more));
        }
    }

    /// The last bytes of the file.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be read.
    pub fn tail(&mut self) -> Result<Vec<u8>> {
        let (size, path) = (self.size, self.path.clone());
        let start = size.saturating_sub(COMPARE as u64);
        let mut tail = vec![0; (size - start) as usize];
        let read = self.file().and_then(|file| file.read_exact_at(&mut tail, start));
        match read {
            // It is being truncated at this very moment, which is noticed elsewhere.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            other => other.map(|()| tail).map_err(Error::io("read the log file", path)),
        }
    }

    /// Its first bytes, enough for the head of a record.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn beginning(&mut self) -> Result<Vec<u8>> {
        let path = self.path.clone();
        let mut bytes = vec![0; self.size.min(HEAD_MAX as u64) as usize];
        match self.file().and_then(|file| file.read_exact_at(&mut bytes, 0)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            other => other.map(|()| bytes).map_err(Error::io("read the log file", path)),
        }
    }

    /// When it was written to last, in seconds since 1970; None if that cannot be told.
    pub(crate) fn modified_s(&mut self) -> Option<i64> {
        self.file().and_then(File::metadata).map(|found| found.mtime()).ok()
    }

    /// Gives back the space that was reserved behind the end of a file that gets no more lines, by an earlier flusher too. Not
    /// if another program has written to it, whose bytes must not be truncated.
    pub fn release_reserved(&mut self) {
        let size = self.size;
        self.reserved = 0;
        if mutant::is(Mutant::ReservedKept) {
            return;
        }
        let _ = self.file().and_then(|file| {
            let found = file.metadata()?;
            let is_spare = found.blocks().saturating_mul(BLOCK) > size + SPARE;
            if is_spare && found.len() == size { file.set_len(size) } else { Ok(()) }
        });
    }

    /// Applies an append of the journal again. Where the file is the one that was meant, what is missing is written; if it was
    /// replaced or modified, all bytes go to its end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn redo(&mut self, identity: (u64, u64), offset: u64, bytes: &[u8]) -> Result<()> {
        let same = self.identity == identity || mutant::is(Mutant::RedoAnyFile);
        let comparable = same && self.size >= offset && !mutant::is(Mutant::RedoBlind);
        let there = if comparable { self.common(offset, bytes)? } else { None };
        match there {
            Some(length) if length == bytes.len() => Ok(()),
            Some(length) if offset + length as u64 == self.size => self.append_from(bytes, length),
            Some(length) => self.fill_in(&bytes[length..], offset + length as u64),
            None => {
                self.begin_line(bytes)?;
                self.append(bytes)
            }
        }
    }

    /// Ends a line that another program, or a power loss, left unfinished, so that it is not taken for a whole one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn end_line(&mut self) -> Result<()> {
        if self.needs_newline { self.append(self.cut_off) } else { Ok(()) }
    }

    /// How many bytes below `offset` are missing at the end of the file, if it is the one that was meant.
    #[must_use]
    pub fn missing(&self, identity: (u64, u64), offset: u64) -> u64 {
        if self.identity == identity { offset.saturating_sub(self.size) } else { 0 }
    }

    /// Writes `bytes` where there are zeros, and beyond the end. The file's own descriptor appends wherever it is told to
    /// write.
    fn fill_in(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let file =
            open::file(&self.path, OFlags::RDWR, Mode::empty()).map_err(Error::io("open the log file", &self.path))?;
        let found = file.metadata().map_err(Error::io("inspect the log file", &self.path))?;
        if (found.dev(), found.ino()) != self.identity {
            return Err(Error::io("write", &self.path)(io::Error::other("another file has taken its name")));
        }
        file.file().and_then(|file| file.write_all_at(bytes, offset)).map_err(Error::io("write", &self.path))?;
        self.size = self.size.max(offset + bytes.len() as u64);
        self.unsynced = true;
        self.needs_newline = false;
        Ok(())
    }

    /// How many of `bytes` are at `offset`, or None if something else is. No line contains a zero: zeros are where the machine
    /// stopped before the bytes were on the disk, and are treated as missing bytes.
    fn common(&mut self, offset: u64, bytes: &[u8]) -> Result<Option<usize>> {
        let there = bytes.len().min((self.size - offset) as usize);
        let mut found = vec![0u8; COMPARE.min(there)];
        let mut common = None;
        for start in (0..there).step_by(COMPARE) {
            let part = &bytes[start..there.min(start + COMPARE)];
            let found = &mut found[..part.len()];
            let read = self.file().and_then(|file| file.read_exact_at(found, offset + start as u64));
            read.map_err(Error::io("read", &self.path))?;
            if found == part || mutant::is(Mutant::RedoTrusting) {
                continue;
            }
            for n in (0..part.len()).filter(|n| found[*n] != part[*n]) {
                if found[n] != 0 {
                    return Ok(None);
                }
                common.get_or_insert(start + n);
            }
        }
        Ok(Some(common.unwrap_or(there)))
    }
}

/// Creates the log file, empty, so that a reader that follows it by name finds it before the first line. An existing file stays
/// as it is.
pub fn create_if_missing(folder: &Folder, log: &str) -> Result<()> {
    let path = folder.log_file(log);
    match open::look_for(&path).map_err(Error::io("inspect the log file", &path))? {
        Some(_) => Ok(()),
        None => open_to_append(&path).map(drop).map_err(Error::io("make the log file", &path)),
    }
}

fn open_to_append(path: &Path) -> io::Result<Opened> {
    open::file(path, OFlags::RDWR | OFlags::CREATE | OFlags::APPEND, PRIVATE)
}

/// Renames what is not a log file. Returns what to log about it, and whether the name is free now.
fn move_aside(path: &Path) -> Result<(Option<Event>, bool)> {
    let look = Error::io("inspect the log file", path);
    let Some(found) = open::look_for(path).map_err(look)? else { return Ok((None, true)) };
    if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile && found.st_nlink == 1 {
        return Ok((None, false));
    }
    Ok((Some((Level::WARNING, notices::moved_aside(&rename_aside(path)?))), true))
}

fn rename_aside(path: &Path) -> Result<PathBuf> {
    open::set_aside(path).map_err(Error::io("move aside", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::rotation::{identity_of, numbered};
    use crate::scratch::Scratch;
    use std::fs;

    /// What `host.log` holds after the bytes "one\ntwo\n" at offset 4 were applied again to `there`; `same` says whether it
    /// is the file that the journal meant.
    fn redone(there: &str, same: bool) -> String {
        let scratch = Scratch::new("redo");
        let folder = Folder::create(scratch.path()).expect("made");
        fs::write(folder.log_file("host"), there).expect("written");
        let mut file = LogFile::open(&folder, "host").expect("opened");
        let (device, inode) = file.identity();
        file.redo((device, if same { inode } else { inode + 1 }), 4, b"one\ntwo\n").expect("applied");
        fs::read_to_string(folder.log_file("host")).expect("read")
    }

    #[test]
    fn an_append_is_completed_wherever_it_was_cut() {
        let whole = "old\none\ntwo\n";
        for length in 4..=whole.len() {
            assert_eq!(redone(&whole[..length], true), whole, "cut to {length}");
        }
    }

    #[test]
    fn an_append_goes_to_the_end_of_a_file_that_somebody_changed_or_put_there() {
        assert_eq!(redone("old\nedited by hand\n", true), "old\nedited by hand\none\ntwo\n");
        assert_eq!(redone("x\n", true), "x\none\ntwo\n");
        // A copy may be truncated or sorted anywhere; what follows in it need not be what the journal meant.
        assert_eq!(redone("old\none\n", false), "old\none\none\ntwo\n");
    }

    #[test]
    fn an_append_goes_to_the_file_that_was_meant_where_that_has_been_rotated() {
        let scratch = Scratch::new("rotated");
        let folder = Folder::create(scratch.path()).expect("made");
        fs::write(numbered(&folder, "host", 0), "old\none\n").expect("written");
        let meant = identity_of(&numbered(&folder, "host", 0)).expect("looked at").expect("there");
        fs::rename(numbered(&folder, "host", 0), numbered(&folder, "host", 3)).expect("rotated");
        fs::write(numbered(&folder, "host", 0), "new\n").expect("written");
        let mut file = LogFile::open_meant(&folder, "host", meant).expect("opened");
        file.redo(meant, 4, b"one\ntwo\n").expect("applied");
        let read = |number| fs::read_to_string(numbered(&folder, "host", number)).expect("read");
        assert_eq!((read(3).as_str(), read(0).as_str()), ("old\none\ntwo\n", "new\n"));
    }
}
