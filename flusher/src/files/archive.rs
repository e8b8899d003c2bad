//! Archives: rotated log files, compressed with zstd, in frames that can be read one by one.
//!
//! ```text
//! zstd frames of about 1 MiB of text each, of whole records, with checksums
//! skippable frame 0x184D2A50, the times:
//!   0    "LWTIMES1"
//!   8    number of frames, u32
//!   12   kind of the times, u32: 0 UTC, 1 as the lines show them
//!   16   device and inode of the file that it was, u64 each
//!   32   number of the text's first bytes that follow, u32: 256, or all where there are fewer; zero, u32
//!   40   these bytes, filled up with zeros to 256
//!   296  for each frame its least and greatest time, u64 ns since 1970 each, u64::MAX and 0 without any; then 1 where a line
//!        says that the times behind it have another offset, else 0, u64
//!   …    XXH3 of all bytes of this frame before, u64
//! skippable frame 0x184D2A5E, the seek table of zstd's seekable format:
//!   for each frame, the one of the times included, its compressed and its decompressed size, u32 each
//!   number of these frames, u32; descriptor, u8: 0; 0x8F92EAB1, u32
//! ```
//!
//! `zstdcat` shows the whole, for it passes skippable frames by. Lines of text show no offset, so their times are what a clock
//! in UTC would show at the same digits; those of JSON are UTC. By inode and first bytes whoever has read a part of the file
//! finds its place again. Numbers are little-endian.
//!
//! A damaged archive, or a file that is none, is an error, and takes no more memory than [`FRAME_MAX`] and its table.

use lastwords_ring::error::{Error, Result};
use lastwords_ring::place::descriptor::Kept;
use lastwords_ring::place::open;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Largest frame that is believed, in bytes, compressed or not: a frame has 1 MiB and one record.
pub const FRAME_MAX: u64 = 256 << 20;
/// Most frames that are believed: a TiB of text.
pub const FRAMES_MAX: u64 = 1 << 20;
/// Largest window that is decompressed, as a power of two: ours have 2 MiB.
const WINDOW_LOG_MAX: u32 = 23;

pub(super) const TIMES_MAGIC: u32 = 0x184D_2A50;
pub(super) const TIMES_NAME: &[u8; 8] = b"LWTIMES1";
pub(super) const SEEK_MAGIC: u32 = 0x184D_2A5E;
pub(super) const SEEK_END: u32 = 0x8F92_EAB1;
/// Magic and length of a skippable frame.
pub(super) const SKIP_HEAD: u64 = 8;
/// Number of frames, descriptor and end of the seek table.
pub(super) const SEEK_FOOT: u64 = 9;
/// Sizes of a frame in the seek table.
const SEEK_ENTRY: u64 = 8;
/// First bytes of the text that are there uncompressed, at most.
pub const BEGINS: usize = 256;
/// All that is before the times, and where in it the first bytes are.
const TIMES_HEAD: u64 = BEGINS_AT as u64 + BEGINS as u64;
const BEGINS_AT: usize = 40;
const TIMES_ENTRY: u64 = 24;
const TIMES_SUM: u64 = 8;

/// What the times of an archive's frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Real ones: of JSON lines, which have their offset with them.
    Utc,
    /// Those that the lines show, as if they were of UTC.
    AsShown,
}

impl Times {
    fn of_number(number: u32) -> Option<Times> {
        [Times::Utc, Times::AsShown].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// A frame of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes there.
    pub compressed: u64,
    /// Where its text begins in the whole.
    pub start: u64,
    /// Bytes of text.
    pub length: u64,
    /// The least and greatest time of its records; None if it has none.
    pub times: Option<(u64, u64)>,
    /// One of its lines says that the times behind it have another offset.
    pub names_offset: bool,
}

/// What the tables say.
#[derive(Debug)]
struct Tables {
    frames: Vec<Frame>,
    kind: Times,
    was: (u64, u64),
    begins: Vec<u8>,
}

/// An open archive.
#[derive(Debug)]
pub struct Archive {
    file: Kept,
    path: PathBuf,
    tables: Tables,
}

impl Archive {
    /// Opens the archive at `path` and reads its table.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, or is no archive of ours.
    pub fn open(path: &Path) -> Result<Archive> {
        let failed = || Error::io("read the archive", path);
        let file = open::to_read(path).and_then(Kept::new).map_err(failed())?;
        let tables = file.file().and_then(tables).map_err(failed())?;
        Ok(Archive { file, path: path.to_owned(), tables })
    }

    /// Its frames, in their order.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.tables.frames
    }

    /// Device and inode of the file that it was.
    #[must_use]
    pub fn was(&self) -> (u64, u64) {
        self.tables.was
    }

    /// The first [`BEGINS`] bytes of its text, or all where there are fewer.
    #[must_use]
    pub fn begins(&self) -> &[u8] {
        &self.tables.begins
    }

    /// Bytes of its text.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.frames().last().map_or(0, |last| last.start + last.length)
    }

    /// The number of the frame that has the byte at `offset` of the text; None behind its end.
    #[must_use]
    pub fn frame_at(&self, offset: u64) -> Option<usize> {
        let number = self.frames().partition_point(|frame| frame.start + frame.length <= offset);
        (number < self.frames().len()).then_some(number)
    }

    /// Reads the bytes at `offset` of the text, and for that the frames that have them.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] at its end; else as [`Archive::read`].
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let frame = self.frame_at(at).ok_or(io::ErrorKind::UnexpectedEof)?;
            let frame = &self.frames()[frame];
            let text = self.read(frame).map_err(io::Error::other)?;
            let rest = &text[(at - frame.start) as usize..];
            let length = rest.len().min(buffer.len() - done);
            buffer[done..done + length].copy_from_slice(&rest[..length]);
            done += length;
        }
        Ok(())
    }

    /// What the times of its frames are.
    #[must_use]
    pub fn times(&self) -> Times {
        self.tables.kind
    }

    /// The text of a frame.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, or is damaged.
    pub fn read(&self, frame: &Frame) -> Result<Vec<u8>> {
        self.file.file().and_then(|file| read(file, frame)).map_err(Error::io("read the archive", &self.path))
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}; `zstdcat` may still show it"))
}

fn read(file: &File, frame: &Frame) -> io::Result<Vec<u8>> {
    let mut compressed = vec![0; frame.compressed as usize];
    file.read_exact_at(&mut compressed, frame.offset)?;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed.as_slice())?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let mut text = Vec::new();
    // One byte more than there should be, so that a longer one shows.
    (&mut decoder).take(frame.length + 1).read_to_end(&mut text)?;
    if text.len() as u64 != frame.length {
        return Err(damaged("a frame has not the length that its table says"));
    }
    if !decoder.finish().is_empty() {
        return Err(damaged("a frame has not the size that its table says"));
    }
    Ok(text)
}

/// The frames that the tables at the end of the file name.
fn tables(file: &File) -> io::Result<Tables> {
    let size = file.metadata()?.len();
    let none = || damaged("it has no seek table");
    let foot: [u8; SEEK_FOOT as usize] = part(file, size.checked_sub(SEEK_FOOT).ok_or_else(none)?)?;
    let count = u64::from(number(&foot, 0));
    if number(&foot, 5) != SEEK_END || foot[4] != 0 || count == 0 || count > FRAMES_MAX {
        return Err(none());
    }
    let seek_size = count * SEEK_ENTRY + SEEK_FOOT;
    let seek_at = size.checked_sub(seek_size + SKIP_HEAD).ok_or_else(none)?;
    let seek = skippable(file, seek_at, SEEK_MAGIC, seek_size)?;
    let times_size = TIMES_HEAD + (count - 1) * TIMES_ENTRY + TIMES_SUM;
    let times_at = seek_at.checked_sub(times_size + SKIP_HEAD).ok_or_else(none)?;
    let times = skippable(file, times_at, TIMES_MAGIC, times_size)?;
    let (summed, sum) = times.split_at(times.len() - TIMES_SUM as usize);
    let kind = Times::of_number(number(summed, 12)).filter(|_| summed.starts_with(TIMES_NAME));
    let kind = kind.ok_or_else(|| damaged("it has no times of ours"))?;
    if long(sum, 0) != xxh3_64(summed) || u64::from(number(summed, 8)) != count - 1 {
        return Err(damaged("its times are damaged"));
    }
    let begins = summed[BEGINS_AT..].get(..number(summed, 32) as usize).filter(|begins| begins.len() <= BEGINS);
    let begins = begins.ok_or_else(|| damaged("its times are damaged"))?.to_vec();
    let (mut frames, mut offset, mut start) = (Vec::new(), 0, 0);
    for index in 0..count as usize - 1 {
        let [compressed, length] = [0, 4].map(|at| u64::from(number(&seek, index * SEEK_ENTRY as usize + at)));
        let at = TIMES_HEAD as usize + index * TIMES_ENTRY as usize;
        let (least, greatest) = (long(summed, at), long(summed, at + 8));
        if compressed > FRAME_MAX || length > FRAME_MAX {
            return Err(damaged("its seek table has a frame that is too large"));
        }
        let (times, names_offset) = ((least <= greatest).then_some((least, greatest)), long(summed, at + 16) != 0);
        frames.push(Frame { offset, compressed, start, length, times, names_offset });
        (offset, start) = (offset + compressed, start + length);
    }
    if offset != times_at {
        return Err(damaged("its seek table does not fit its size"));
    }
    if begins.len() as u64 != start.min(BEGINS as u64) {
        return Err(damaged("its times do not fit its size"));
    }
    Ok(Tables { frames, kind, was: (long(summed, 16), long(summed, 24)), begins })
}

/// The content of the skippable frame at `offset`, which must have this magic and size.
fn skippable(file: &File, offset: u64, magic: u32, size: u64) -> io::Result<Vec<u8>> {
    let head: [u8; SKIP_HEAD as usize] = part(file, offset)?;
    if number(&head, 0) != magic || u64::from(number(&head, 4)) != size {
        return Err(damaged("its tables are not where they should be"));
    }
    let mut content = vec![0; size as usize];
    file.read_exact_at(&mut content, offset + SKIP_HEAD)?;
    Ok(content)
}

fn part<const N: usize>(file: &File, offset: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// The number at `at`; the caller has checked that it is there.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
