//! The page that the demo shares with one of its processes, and the two endings that no safe code has.
//!
//! The page is a mapped file, so it outlives its process as the rings do. It has a cache line for each word, so that
//! the threads do not slow each other down:
//!
//! | line | written by | what |
//! |---|---|---|
//! | 0 | process | 1 once its logger is there |
//! | 1 | demo | how many spurts were ordered |
//! | 2 and on | a thread each | number of its last line whose log call has returned |

#![allow(unsafe_code)]

use lastwords::{Error, Result};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const CACHE_LINE: usize = 64;
const READY: usize = 0;
const SPURTS: usize = 1;
const FIRST_THREAD: usize = 2;

/// A mapped page.
#[derive(Debug)]
pub(crate) struct Page {
    map: MmapRaw,
    threads: u32,
}

impl Page {
    /// Makes the file, zeros, and maps it.
    pub(crate) fn create(path: &Path, threads: u32) -> Result<Page> {
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(io("create", path))?;
        file.set_len(size(threads) as u64).map_err(io("make room in", path))?;
        Page::map(&file, path, threads)
    }

    /// Maps the file that the demo made.
    pub(crate) fn open(path: &Path, threads: u32) -> Result<Page> {
        let file = File::options().read(true).write(true).open(path).map_err(io("open", path))?;
        let found = file.metadata().map_err(io("inspect", path))?.len();
        if found != size(threads) as u64 {
            let why = format!("{found} bytes found, expected {} for {threads} threads", size(threads));
            return Err(io("use", path)(std::io::Error::other(why)));
        }
        Page::map(&file, path, threads)
    }

    fn map(file: &File, path: &Path, threads: u32) -> Result<Page> {
        let map = MmapOptions::new().len(size(threads)).map_raw(file).map_err(io("map", path))?;
        Ok(Page { map, threads })
    }

    /// Notes that the process has its logger.
    pub(crate) fn say_ready(&self) {
        self.word(READY).store(1, Ordering::Release);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.word(READY).load(Ordering::Acquire) != 0
    }

    /// Orders one more spurt of every thread.
    pub(crate) fn order_spurt(&self) {
        self.word(SPURTS).fetch_add(1, Ordering::Release);
    }

    pub(crate) fn spurts_ordered(&self) -> u64 {
        self.word(SPURTS).load(Ordering::Acquire)
    }

    /// Notes that the log call of the thread's line `number` has returned.
    #[inline]
    pub(crate) fn acknowledge(&self, thread: u32, number: u64) {
        self.word(FIRST_THREAD + thread as usize).store(number, Ordering::Release);
    }

    /// The last line of each thread whose log call has returned.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.threads as usize).map(|thread| self.word(FIRST_THREAD + thread).load(Ordering::Acquire))
    }

    fn word(&self, line: usize) -> &AtomicU64 {
        let offset = line * CACHE_LINE;
        assert!(offset < self.map.len(), "line {line} of a page for {} threads", self.threads);
        // SAFETY: the offset is within the mapping and a multiple of 64 from its page-aligned start; the mapping lives as long
        // as `self`, the file is never truncated, and both processes reach the word through atomics only.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset).cast()) }
    }
}

fn size(threads: u32) -> usize {
    (FIRST_THREAD + threads as usize) * CACHE_LINE
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

/// Ends the process as a bug in native code does: by a real segmentation fault.
pub(crate) fn segfault() -> ! {
    let nowhere = std::ptr::without_provenance_mut::<u64>(8);
    loop {
        // SAFETY: the first page of an address space is never mapped, so no Rust object is there, and a volatile write
        // to such an address does what the processor does: it traps, and the signal's default action ends the process.
        // The address is not null itself, which debug builds would answer with an abort instead.
        unsafe { nowhere.write_volatile(1) };
    }
}

/// Ends the process without running exit hooks or destructors.
pub(crate) fn leave() -> ! {
    // SAFETY: _exit(2) touches no memory of this process and does not return.
    unsafe { libc::_exit(0) }
}
