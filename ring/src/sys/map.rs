//! Mapped ring files.
//!
//! Other processes write to the mapped bytes at any time, so only references to atomics are handed out, never slices
//! of bytes. A mapping lives as long as its process: threads keep references to it without counting.

use crate::format::geometry::Geometry;
use crate::format::layout::{Control, LaneBlock};
use crate::mutant::{self, Mutant};
use crate::sys::futex;
use crate::sys::guard::{self, Guarded};
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::mm::{Advice as Populate, MapFlags, ProtFlags, mmap_anonymous};
use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

/// A ring file mapped for its producer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingMap {
    base: *mut u8,
    geometry: Geometry,
    guard: Option<&'static Guarded>,
}

// SAFETY: the pointer is to a mapping that is never unmapped, and everything reached through it is atomic.
unsafe impl Send for RingMap {}
// SAFETY: as above.
unsafe impl Sync for RingMap {}

impl RingMap {
    /// Maps `file`, whose size matches `geometry`. A forked child does not inherit the mapping, because an inherited one would
    /// keep the ring's lock held.
    pub(crate) fn new(file: &File, geometry: Geometry) -> io::Result<RingMap> {
        let map = map(file, 0, geometry.file_size())?;
        if !mutant::is(Mutant::NoDontFork) {
            map.advise(Advice::DontFork)?;
        }
        // Otherwise the first fault reads ahead, on some disks all 8 MiB of it in 1.5 ms.
        let _ = map.advise(Advice::Random);
        let base = map.as_mut_ptr();
        // Leaked on purpose: lanes and call sites refer to it until the process ends.
        std::mem::forget(map);
        Ok(RingMap { base, geometry, guard: None })
    }

    /// Releases the file, and with it the lock: private pages of zeros, which cost nothing until they are written to, replace
    /// the ring. For a ring that could not be completed, and for one whose logger was closed: stores by a thread in the middle
    /// of a call have no effect.
    pub(crate) fn let_go(&self) {
        // SAFETY: the range is exactly the mapping of this ring.
        unsafe { replace_by_zeros(self.base, self.geometry.file_size() as usize) };
        self.guard.inspect(|guard| guard.end());
    }

    /// Makes a SIGBUS in its memory end the ring instead of the process, see [`guard`].
    pub(crate) fn guard(&mut self) {
        self.guard = Some(guard::watch(self.base as usize, self.geometry.file_size() as usize));
    }

    /// Whether the guard has replaced a part of the ring.
    pub(crate) fn is_hit(&self) -> bool {
        self.guard.is_some_and(Guarded::is_hit)
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(crate) fn control(&self) -> &'static Control {
        // SAFETY: the control page is within the mapping at a page boundary, and all its fields that change are atomics; the
        // mapping is never unmapped.
        unsafe { &*self.base.add(self.geometry.control_offset() as usize).cast::<Control>() }
    }

    pub(crate) fn table(&self) -> &'static [AtomicU64] {
        self.words(self.geometry.table_offset(), self.geometry.table_size() as u64)
    }

    pub(crate) fn block(&self, lane: usize) -> &'static LaneBlock {
        assert!(lane < self.geometry.lanes());
        // SAFETY: the block is within the mapping, at a multiple of 128 bytes, and consists of atomics; the mapping is never
        // unmapped.
        unsafe { &*self.base.add(self.geometry.block_offset(lane) as usize).cast::<LaneBlock>() }
    }

    pub(crate) fn slots(&self, lane: usize) -> &'static [AtomicU64] {
        assert!(lane < self.geometry.lanes());
        self.words(self.geometry.lane_offset(lane), self.geometry.lane_size())
    }

    fn words(&self, offset: u64, size: u64) -> &'static [AtomicU64] {
        // SAFETY: callers pass parts of a validated geometry, which are within the mapping at multiples of 8 bytes. The mapping
        // is never unmapped.
        unsafe { std::slice::from_raw_parts(self.base.add(offset as usize).cast::<AtomicU64>(), size as usize / 8) }
    }

    /// Faults the slots of `lane` in, see [`crate::write::ring::Ring::prefault`].
    pub(crate) fn prefault(&self, lane: usize) {
        let page = rustix::param::page_size();
        let start = self.geometry.lane_offset(lane) as usize;
        let end = (start + self.geometry.lane_size() as usize).next_multiple_of(page);
        let (start, end) = (start / page * page, end.min(self.geometry.file_size() as usize));
        // SAFETY: the range is within the mapping, and populating it changes no byte.
        let _ = unsafe { rustix::mm::madvise(self.base.add(start).cast(), end - start, Populate::LinuxPopulateWrite) };
    }
}

/// A page of a file, mapped only to keep the file's description, and with it a lock, whatever happens to the descriptor, and to
/// show other processes in this one's maps whose lock it is. A forked child does not inherit it.
#[derive(Debug)]
pub struct KeptFile {
    map: MmapRaw,
}

impl KeptFile {
    /// Maps the first page of a file.
    ///
    /// # Errors
    /// As mmap(2).
    pub fn new(file: &File) -> io::Result<KeptFile> {
        let map = MmapOptions::new().len(crate::format::layout::PAGE as usize).map_raw_read_only(file)?;
        map.advise(Advice::DontFork)?;
        Ok(KeptFile { map })
    }

    /// Keeps it for the lifetime of the process, or until [`KeptFile::let_go`].
    pub(crate) fn leak(self) -> &'static KeptFile {
        Box::leak(Box::new(self))
    }

    /// Releases the file, and with it the lock.
    pub(crate) fn let_go(&self) {
        // SAFETY: the range is exactly this mapping.
        unsafe { replace_by_zeros(self.map.as_mut_ptr(), self.map.len()) };
    }
}

/// Replaces a mapping of ours by private pages of zeros, so that references to its atomics stay valid.
///
/// # Safety
/// The range is a mapping that is only reached through atomics, for which zeros are valid.
unsafe fn replace_by_zeros(start: *mut u8, size: usize) {
    let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
    // SAFETY: guaranteed by the caller, and the range stays mapped.
    let _ = unsafe { mmap_anonymous(start.cast(), size, ProtFlags::READ | ProtFlags::WRITE, flags) };
}

/// A ring's control page, mapped only so that its address can be given to futex(2). Never read, so that the kernel answers
/// EFAULT instead of sending SIGBUS if the file was truncated; and not writable, so that a flusher changes shared state by
/// system calls alone. That is why a death before the next call is a death after the last one, and a test that kills it before
/// each call has killed it at every instruction.
#[derive(Debug)]
pub struct FutexPage {
    map: MmapRaw,
}

impl FutexPage {
    /// Maps the control page, which is at this offset.
    ///
    /// # Errors
    /// As mmap(2).
    pub fn new(file: &File, offset: u64) -> io::Result<FutexPage> {
        let size = crate::format::layout::PAGE as usize;
        let map = MmapOptions::new().offset(offset).len(size).map_raw_read_only(file)?;
        // A forked child would keep the file on the disk after its removal.
        map.advise(Advice::DontFork)?;
        Ok(FutexPage { map })
    }

    /// Wakes all waiters on the word at this offset.
    ///
    /// # Errors
    /// As futex(2), for instance if the file was truncated.
    pub fn wake_all(&self, offset: usize) -> io::Result<()> {
        assert!(offset + 4 <= self.map.len());
        futex::wake_all(self.map.as_ptr().wrapping_add(offset).addr())
    }
}

fn map(file: &File, offset: u64, size: u64) -> io::Result<MmapRaw> {
    MmapOptions::new().offset(offset).len(size as usize).map_raw(file)
}
