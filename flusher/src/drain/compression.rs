//! Compression of rotated files, in slices between passes.
//!
//! One file is compressed at a time, into a file without a name, so that whoever dies in between leaves nothing. When it is
//! complete, and the rotated file is still what was read, the journal gets an entry that names both (ARCHIVE:A), the archive its
//! name (ARCHIVE:B), and the rotated file goes (ARCHIVE:C). A flusher that finds such an entry and both names does ARCHIVE:C; one
//! that finds only the rotated file begins anew. Where syncs are requested, journal and archive are synced before ARCHIVE:B, and
//! the folder before ARCHIVE:C.

use super::Drain;
use crate::files::archive::{Archive, Times};
use crate::files::frames::{ArchiveWriter, FRAME};
use crate::files::journal::Change;
use crate::files::notices;
use crate::files::output::Output;
use crate::files::rotation::{Numbered, archived, numbered_files, remove_archived};
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::compress::Compress;
use lastwords_ring::place::access::Access;
use lastwords_ring::place::descriptor::Kept;
use lastwords_ring::place::folder::{JSON_ENDING, ROTATE_KEEP_MAX, sync_names};
use lastwords_ring::place::open;
use lastwords_ring::place::unnamed_file::Nameless;
use rustix::fs::{Timespec, Timestamps};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// Longest slice: whoever waits for the flusher, in a fork or at its end, waits 10 ms at most.
const SLICE: Duration = Duration::from_millis(2);
/// Most pieces of a slice, whatever the clock says.
const PIECES_MAX: usize = 16;
/// Time between two slices: compression takes a third of a processor at most.
const PAUSE: Duration = Duration::from_millis(4);
/// Time before a file that could not be compressed is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// What is being compressed, and when to look for more.
#[derive(Debug, Default)]
pub(super) struct Compressor {
    /// There may be files to compress.
    seek: bool,
    current: Option<Box<Compression>>,
    /// When the last slice ended.
    last: Option<Instant>,
    /// When files that could not be compressed are tried again, and whether that is logged.
    again: Option<Instant>,
    logged: bool,
}

/// A rotated file on its way to its archive.
struct Compression {
    role: usize,
    log: String,
    source: Kept,
    path: PathBuf,
    seen: Seen,
    read: u64,
    writer: ArchiveWriter,
    archive: Nameless,
    written: u64,
}

impl std::fmt::Debug for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compression").field("path", &self.path).field("read", &self.read).finish_non_exhaustive()
    }
}

/// A file's identity, size and last change: whether it is still what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    identity: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl Seen {
    fn of(file: &File) -> io::Result<Seen> {
        let found = file.metadata()?;
        let modified = (found.mtime(), found.mtime_nsec());
        Ok(Seen { identity: (found.dev(), found.ino()), size: found.len(), modified })
    }
}

impl Drain {
    /// Notes that there may be files to compress.
    pub(super) fn seek_to_compress(&mut self) {
        self.compressor.seek = true;
    }

    /// Whether another slice is to follow, and in which time.
    pub fn compresses_in(&self) -> Option<Duration> {
        let Compressor { seek, current, last, again, .. } = &self.compressor;
        let waits = again.is_some_and(|again| again > Instant::now());
        (!waits && (*seek || current.is_some()))
            .then(|| last.map_or(Duration::ZERO, |last| PAUSE.saturating_sub(last.elapsed())))
    }

    /// Compresses for the length of a slice, if one is due.
    pub fn compress(&mut self) {
        if self.compresses_in() != Some(Duration::ZERO) {
            return;
        }
        if let Err(error) = self.compress_slice() {
            self.compress_later();
            if !std::mem::replace(&mut self.compressor.logged, true) {
                self.note(notices::not_compressed(&error));
            }
        }
        self.compressor.last = Some(Instant::now());
    }

    /// Something failed that may pass.
    fn compress_later(&mut self) {
        let Compressor { seek, current, again, .. } = &mut self.compressor;
        (*seek, *current, *again) = (true, None, Some(Instant::now() + AGAIN));
    }

    fn compress_slice(&mut self) -> Result<()> {
        let began = Instant::now();
        let Some(mut current) = self.compressor.current.take() else {
            self.compressor.current = self.begin_to_compress()?;
            self.compressor.seek = self.compressor.current.is_some();
            return Ok(());
        };
        for _ in 0..PIECES_MAX {
            if current.read == current.seen.size || began.elapsed() >= SLICE {
                break;
            }
            current.step()?;
        }
        if current.read < current.seen.size {
            self.compressor.current = Some(current);
            return Ok(());
        }
        self.end_compression(*current)
    }

    /// Opens the oldest file that is to be compressed. Those of suspended roles are sought again once they recover.
    fn begin_to_compress(&self) -> Result<Option<Box<Compression>>> {
        let list = || Error::io("list the log folder", self.folder.path());
        let asked = |role: &usize| self.roles[*role].compress == Compress::Zstd && !self.is_suspended(*role);
        let roles: Vec<usize> = (0..self.roles.len()).filter(asked).collect();
        if roles.is_empty() {
            return Ok(None);
        }
        let names = open::list(self.folder.path()).map_err(list())?;
        let mut found = None;
        for role in roles {
            let name = &self.roles[role].name;
            for log in [name.clone(), format!("{name}{JSON_ENDING}")] {
                let mut files = numbered_files(&self.folder, &log, &names)?;
                remove_leftovers(&mut files)?;
                found = found.or_else(|| self.to_compress(files).map(|file| (role, log, file)));
            }
        }
        let Some((role, log, file)) = found else { return Ok(None) };
        Compression::begin(self, role, log, file).map(|begun| begun.map(Box::new))
    }

    /// The oldest of a log's rotated files without an archive. One that lines still go to, because somebody else has just
    /// renamed it, is none.
    fn to_compress(&self, files: Vec<Numbered>) -> Option<Numbered> {
        let archives: Vec<u32> = files.iter().filter(|file| file.archive).map(|file| file.number).collect();
        let is_open = |file: &Numbered| {
            let opened = self.outputs.iter().filter_map(|output| output.file.as_ref());
            opened.map(|opened| opened.identity()).any(|identity| identity == file.identity)
        };
        let is_due =
            |file: &Numbered| file.number > 0 && !file.archive && !archives.contains(&file.number) && !is_open(file);
        files.into_iter().filter(is_due).max_by_key(|file| file.number)
    }

    /// The archive takes the place of its file, unless that is another one meanwhile.
    fn end_compression(&mut self, mut current: Compression) -> Result<()> {
        let role = current.role;
        let sync = self.durable.is_on() || self.roles[role].durable;
        // What waits in memory is written before, as for a rotation.
        self.commit(None)?;
        if self.is_suspended(role) {
            return Ok(());
        }
        let seen = current.seen;
        let unchanged = current.source.file().and_then(Seen::of).map_err(Error::io("inspect", &current.path))? == seen;
        let names = open::list(self.folder.path()).map_err(Error::io("list the log folder", self.folder.path()))?;
        let files = numbered_files(&self.folder, &current.log, &names)?;
        let is_it = |file: &&Numbered| file.number > 0 && !file.archive && file.identity == seen.identity;
        let Some(number) = files.iter().find(is_it).map(|file| file.number).filter(|_| unchanged) else {
            return Ok(());
        };
        if files.iter().any(|file| file.archive && file.number == number) {
            return Ok(());
        }
        let access = self.outputs.iter().find(|output| output.log == current.log).map(|output: &Output| output.access);
        current.complete(access.unwrap_or_default(), sync)?;
        let Compression { log, archive, .. } = current;
        let of_archive = archive.file().and_then(Seen::of).map_err(Error::io("inspect the archive of", &log))?.identity;
        let change = Change::Archived { log: log.clone(), file: seen.identity, archive: of_archive, number };
        let part = self.announce(role, &[change])?;
        if sync {
            self.journal.sync()?;
        }
        let path = archived(&self.folder, &log, number);
        archive.publish_as(&path)?;
        self.durable.named();
        let synced = if sync { sync_names(self.folder.path()) } else { Ok(()) };
        let done = synced.and_then(|()| remove_archived(&self.folder, &log, seen.identity, of_archive, number));
        match done {
            Ok(()) => (self.compressor.seek, self.compressor.logged, self.roles[role].left) = (true, false, None),
            Err(error) if error.may_pass() => self.hold(part, Vec::new(), error),
            // It stays as it is, then, and not twice.
            Err(error) => {
                open::remove(&path).map_err(Error::io("remove the archive", &path))?;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Removes archives of files that are still there, because the machine stopped before their removal was on the disk and the
/// journal has gone on since: they are compressed anew.
fn remove_leftovers(files: &mut Vec<Numbered>) -> Result<()> {
    let is_there = |files: &[Numbered], number: u32, identity: (u64, u64)| {
        files.iter().any(|file| !file.archive && file.number == number && file.identity == identity)
    };
    let is_leftover = |file: &&Numbered| {
        let others = || Archive::open(&file.path).is_ok_and(|archive| is_there(files, file.number, archive.was()));
        file.archive && files.iter().any(|other| !other.archive && other.number == file.number) && others()
    };
    let leftovers: Vec<PathBuf> = files.iter().filter(is_leftover).map(|file| file.path.clone()).collect();
    for path in &leftovers {
        open::remove(path).map_err(Error::io("remove the archive of a file that is still there", path))?;
    }
    files.retain(|file| !leftovers.contains(&file.path));
    Ok(())
}

impl Compression {
    fn begin(drain: &Drain, role: usize, log: String, file: Numbered) -> Result<Option<Compression>> {
        debug_assert!(file.number <= ROTATE_KEEP_MAX, "one of ours");
        let failed = || Error::io("compress", &file.path);
        let source = open::to_read(&file.path).and_then(Kept::new).map_err(failed())?;
        let seen = source.file().and_then(Seen::of).map_err(failed())?;
        if seen.identity != file.identity {
            return Ok(None);
        }
        let kind = if log.ends_with(JSON_ENDING) { Times::Utc } else { Times::AsShown };
        let writer = ArchiveWriter::new(kind, file.identity, FRAME);
        // One name for all archives of a log, so that where it is needed no leftover stays.
        let archive = Nameless::create(drain.folder.path(), &format!("{log}.zst"))?;
        Ok(Some(Compression { role, log, source, path: file.path, seen, read: 0, writer, archive, written: 0 }))
    }

    /// Compresses a piece.
    fn step(&mut self) -> Result<()> {
        let mut piece = vec![0; PIECE.min((self.seen.size - self.read) as usize)];
        let read = self.source.file().and_then(|file| file.read_exact_at(&mut piece, self.read));
        read.and_then(|()| self.writer.add(&piece)).map_err(Error::io("compress", &self.path))?;
        self.read += piece.len() as u64;
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        let output = self.writer.take_output();
        let written = self.archive.file().and_then(|file| file.write_all_at(&output, self.written));
        written.map_err(Error::io("write the archive of", &self.path))?;
        self.written += output.len() as u64;
        Ok(())
    }

    /// Ends the archive. It has the age of its file, and is for the same readers.
    fn complete(&mut self, access: Access, sync: bool) -> Result<()> {
        self.writer.finish().map_err(Error::io("compress", &self.path))?;
        self.write()?;
        let (tv_sec, tv_nsec) = self.seen.modified;
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: time, last_modification: time };
        let ended = self.archive.file().and_then(|file| {
            rustix::fs::futimens(file, &times)?;
            // A file that cannot be given to the group still has its owner.
            let _ = access.give(file);
            if sync { file.sync_all() } else { Ok(()) }
        });
        ended.map_err(Error::io("write the archive of", &self.path))
    }
}
