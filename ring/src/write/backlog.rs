//! Backlog segments, the producer's end: slots of a lane, copied before they are reused.
//!
//! A flusher that is stalled, or slower than its producers, still holds the lock, and nothing that other processes could find
//! out makes it safe to take over. So a producer whose lane is full copies its oldest slots to a file of its own, which only it
//! writes, and the flusher reads them there, now or later. `segment.rs` documents the files; the lane does the counting.
//!
//! | label | step | if the process dies here |
//! |---|---|---|
//! | KEEP:1 | the lane is full: wait for the flusher, see `full_lane.rs` | as usual |
//! | KEEP:2 | which slots: the oldest whole messages that are nowhere else; is there room in the budget? | nothing has happened |
//! | KEEP:3 | write them to a segment, from the mapping; with `durable`, sync it, and the folder if it is new | the ring still holds all of them |
//! | KEEP:4 | fence; `kept` moves, in this process and as a hint in the lane block | the ring still holds all of them |
//! | KEEP:5 | the append, which may use those slots now | only the record in flight is missing |
//!
//! # Why nothing is lost
//!
//! Sequence `s` leaves the ring only by an append whose `reserved` is at least `s + slots`, and that is admitted only after
//! KEEP:3 of `s` returned. A reader that misses `s` in the ring has seen that, and checks the segments after that.
//!
//! When a segment is removed
//!
//! The flusher removes a segment once it is past the last slot in it (`written`), with any delay. So a producer adds to a
//! segment only while the flusher is not past its present contents, checks again after the write, and writes the same slots to
//! a segment of another name if the flusher was faster. The remover checks a segment's length after it has published `written`;
//! so either it has seen the addition, or the producer has seen that it must not rely on it. For the same reason a new segment
//! gets its name when it is complete, and no name is used twice, because no sequence is the first to be kept twice.
//! `tests/tests/backlog_model.rs` walks through all of this.

use crate::place::stderr::complain;
use crate::place::folder::sync_names;
use crate::format::geometry::Geometry;
use crate::write::lane::Lane;
use crate::format::layout::LaneBlock;
use crate::place::descriptor::{Opened, again_if_lost};
use crate::mutant::{self, Mutant};
use crate::place::segment;
use crate::atomics::{Ordering, fence};
use crate::sys::process_page::ProcessCell;
use crate::sys::{fsize, hooks};
use crate::sys::words::write_words_at;
use crate::place::open::{self, PRIVATE};
use rustix::fs::{OFlags, RenameFlags};
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};
use std::time::{Duration, Instant};

/// Default limit of a process's segments in bytes: about 500,000 short records.
pub const BUDGET_DEFAULT: u64 = 64 << 20;
/// Slots that are copied at once.
const CHUNK: u64 = 512;
/// Time between two attempts for a lane, if the budget is used up or the disk refuses: first this long, then doubling up to the
/// second value. In between, records are overwritten at the rate at which they come.
const AGAIN: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(10)];
/// How segments are opened: what is there stays, whatever is written through the descriptor, see `descriptor.rs`.
const WRITTEN: OFlags = OFlags::WRONLY.union(OFlags::APPEND);
/// Most accounts of one process, one per logger.
const ACCOUNTS_MAX: usize = 256;

/// The accounts of this process's loggers. A forked child does not inherit them: its parent's rings are not mapped there.
static ACCOUNTS: ProcessCell<Accounts> = ProcessCell::new();

/// Accounts, each in a place that it keeps until its logger is closed.
type Accounts = [AtomicPtr<Account>; ACCOUNTS_MAX];

/// A ring's backlog.
#[derive(Debug)]
pub struct Backlog {
    /// Where the ring's bytes are.
    ring: PathBuf,
    geometry: Geometry,
    /// Bytes that all rings of the process may keep before this one stops keeping more.
    budget: u64,
    durable: bool,
    account: &'static Account,
    /// One per lane; only its owner locks it, so it never waits.
    lanes: Box<[Mutex<KeptLane>]>,
    /// The reason why a segment cannot be written has been reported.
    reported: AtomicBool,
}

/// A ring's lanes' use of the budget.
#[derive(Debug)]
struct Account {
    slot: u64,
    lanes: Box<[LaneAccount]>,
}

#[derive(Debug)]
struct LaneAccount {
    block: &'static LaneBlock,
    kept: AtomicU64,
    /// Bytes that were kept and not drained when the lane last kept something.
    bytes: AtomicU64,
}

/// A lane producer's knowledge of its segments. Not beside the lane itself, where each log call would pass it.
#[derive(Debug, Default)]
struct KeptLane {
    /// First and last sequence of the segment that was last written.
    segment: Option<(u64, u64)>,
    /// How far the flusher must get to have drained as much as was last kept.
    enough: u64,
    /// When keeping last failed, and how long to wait before the next attempt.
    failed: Option<(Instant, Duration)>,
    /// Deferred to the next time by [`Mutant::KeptLate`].
    late: Option<(u64, u64)>,
}

impl Account {
    /// Bytes that are kept and not drained.
    fn used(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.used(self.slot)).sum()
    }

    /// Takes a place among those of the process. Without one, this ring's backlog is limited on its own.
    fn list(&'static self) {
        if ACCOUNTS.get().is_none() && ACCOUNTS.begin() {
            ACCOUNTS.set(Box::new([const { AtomicPtr::new(ptr::null_mut()) }; ACCOUNTS_MAX]));
        }
        let mine = ptr::from_ref(self).cast_mut();
        let take = |place: &AtomicPtr<Account>| {
            place.compare_exchange(ptr::null_mut(), mine, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        ACCOUNTS.get().into_iter().flatten().any(take);
    }

    /// Gives the place back: the flusher is responsible for this ring's backlog from now on.
    fn unlist(&'static self) {
        let mine = ptr::from_ref(self).cast_mut();
        for place in ACCOUNTS.get().into_iter().flatten() {
            let _ = place.compare_exchange(mine, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

impl LaneAccount {
    fn set(&self, kept: u64, bytes: u64) {
        self.bytes.store(bytes, Ordering::SeqCst);
        self.kept.store(kept, Ordering::SeqCst);
    }

    fn used(&self, slot: u64) -> u64 {
        let released = self.block.consumer.released.load(Ordering::Acquire);
        let undrained = self.kept.load(Ordering::Acquire).saturating_sub(released);
        self.bytes.load(Ordering::SeqCst).min(undrained.saturating_mul(slot))
    }
}

impl Backlog {
    /// The backlog of the ring whose bytes are at `ring` and whose lanes have these blocks.
    pub fn new(
        ring: &Path,
        geometry: Geometry,
        blocks: impl Iterator<Item = &'static LaneBlock>,
        budget: u64,
        durable: bool,
    ) -> Backlog {
        let lane = |block| LaneAccount { block, kept: AtomicU64::new(0), bytes: AtomicU64::new(0) };
        let slot = geometry.record_size() as u64;
        let account = Account { slot, lanes: blocks.map(lane).collect() };
        let account: &'static Account = Box::leak(Box::new(account));
        account.list();
        let lanes = (0..geometry.lanes()).map(|_| Mutex::default()).collect();
        Backlog { ring: ring.to_owned(), geometry, budget, durable, account, lanes, reported: AtomicBool::new(false) }
    }

    /// Ends its account with the process, after its logger was closed.
    pub fn close(&self) {
        self.account.unlist();
    }

    /// How far the flusher must release a lane to have drained as much as was last kept.
    pub fn enough(&self, number: usize) -> u64 {
        self.lanes[number].try_lock().map_or(0, |state| state.enough)
    }

    /// KEEP:2 to KEEP:4 for a lane that is full. Returns the first sequence that was kept; None if that failed, because of the
    /// budget or the disk.
    pub fn keep(&self, number: usize, lane: &mut Lane<'_>) -> Option<u64> {
        let state = &mut *self.lanes[number].try_lock().ok()?;
        if self.budget == 0 || state.failed.is_some_and(|(at, pause)| at.elapsed() < pause) {
            return None;
        }
        let (first, last) = lane.next_to_keep(CHUNK.min(lane.slots()))?;
        let bytes = (last - first + 1) * self.account.slot;
        let mine = &self.account.lanes[number];
        let before = mine.used(self.account.slot);
        // Reserved first, then checked: of two lanes that reach the limit together, both may be refused, but never both
        // admitted.
        mine.set(last, before + bytes);
        let written = if self.used() > self.budget { None } else { Some(again_if_lost(|| self.write(number, lane, state, (first, last)))) };
        if !matches!(written, Some(Ok(()))) {
            mine.set(lane.reusable(), before);
            let pause = state.failed.map_or(AGAIN[0], |(_, pause)| AGAIN[1].min(pause * 2));
            state.failed = Some((Instant::now(), pause));
            written.and_then(io::Result::err).inspect(|error| self.report(error));
            return None;
        }
        state.failed = None;
        state.enough = lane.released() + (last - first + 1);
        lane.mark_kept(last);
        Some(first)
    }

    /// The sequence up to which a lane has kept slots, or is about to.
    pub fn kept(&self, lane: usize) -> u64 {
        self.account.lanes[lane].kept.load(Ordering::SeqCst)
    }

    /// Bytes that all rings of this process keep.
    fn used(&self) -> u64 {
        let others = ACCOUNTS.get().into_iter().flatten().filter_map(hooks::leaked);
        let others = others.filter(|other| !ptr::eq(*other, self.account));
        others.map(Account::used).sum::<u64>() + self.account.used()
    }

    /// KEEP:3.
    fn write(&self, number: usize, lane: &Lane<'_>, state: &mut KeptLane, chunk: (u64, u64)) -> io::Result<()> {
        if mutant::is(Mutant::KeptLate) {
            return match state.late.replace(chunk) {
                Some(late) => self.write_new(number, lane, late),
                None => Ok(()),
            };
        }
        if let Some((first, last)) = state.segment
            && chunk.0 == last + 1
            && chunk.1 - first < segment::slots_max(self.geometry)
            && (!lane.may_have_released(last) || mutant::is(Mutant::KeptReused))
            && self.add(number, lane, first, chunk)?
        {
            // Pairs with the fence of the process that removes segments: either that one sees the addition, or this one sees
            // that the flusher is past the earlier contents, and that the segment may be removed at any time.
            fence(Ordering::SeqCst);
            if !lane.may_have_released(last) || mutant::is(Mutant::KeptReused) {
                state.segment = Some((first, chunk.1));
                return Ok(());
            }
        }
        self.write_new(number, lane, chunk)?;
        state.segment = Some(chunk);
        Ok(())
    }

    /// Adds slots to the segment that begins with `first`. False if that is gone, or has bytes behind its last slot.
    fn add(&self, number: usize, lane: &Lane<'_>, first: u64, chunk: (u64, u64)) -> io::Result<bool> {
        let file = match open::file(&segment::path(&self.ring, number, first), WRITTEN, PRIVATE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let [start, end] = [chunk.0, chunk.1 + 1].map(|sequence| (sequence - first) * self.account.slot);
        if file.size()? != start {
            return Ok(false);
        }
        fsize::without_signal(|| write_slots(&file, lane, chunk, start))?;
        if self.durable {
            file.sync_data()?;
        }
        Ok(file.size()? == end)
    }

    /// Creates a segment. It has its name only once it is complete, because a remover must not take its beginning for all of
    /// it.
    fn write_new(&self, number: usize, lane: &Lane<'_>, chunk: (u64, u64)) -> io::Result<()> {
        let unnamed = segment::unnamed(&self.ring, number);
        let made = self.make(&unnamed, lane, chunk).and_then(|()| {
            let path = segment::path(&self.ring, number, chunk.0);
            open::rename(&unnamed, &path, RenameFlags::empty())
        });
        if made.is_err() {
            // Frees the space for others, for instance on a full disk.
            let _ = open::remove(&unnamed);
        } else if self.durable {
            let folder = unnamed.parent().unwrap_or(Path::new(""));
            sync_names(&folder.join(".")).map_err(io::Error::other)?;
        }
        made
    }

    fn make(&self, path: &Path, lane: &Lane<'_>, chunk: (u64, u64)) -> io::Result<()> {
        let file = open::file(path, WRITTEN | OFlags::CREATE | OFlags::TRUNC, PRIVATE)?;
        fsize::without_signal(|| write_slots(&file, lane, chunk, 0))?;
        if self.durable {
            file.sync_all()?;
        }
        let size = (chunk.1 - chunk.0 + 1) * self.account.slot;
        // Another length: somebody else's write went astray into it.
        if file.size()? == size { Ok(()) } else { Err(Errno::BADF.into()) }
    }

    /// Reports once why the backlog cannot be written.
    fn report(&self, error: &io::Error) {
        if !self.reported.swap(true, Ordering::Relaxed) {
            let ring = self.ring.display();
            complain(format_args!(
                "the flusher is behind, and what it has not drained cannot be kept beside {ring}: {error}; \
                 records are lost where the ring is full, and counted"
            ));
        }
    }
}

/// Writes the slots of a chunk at `offset`, without a copy.
fn write_slots(file: &Opened, lane: &Lane<'_>, chunk: (u64, u64), mut offset: u64) -> io::Result<()> {
    let pieces = lane.slot_words(chunk.0, chunk.1);
    let end = offset + pieces.iter().map(|words| size_of_val(*words) as u64).sum::<u64>();
    if fsize::limit() < end {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    for mut words in pieces {
        while !words.is_empty() {
            match write_words_at(file.file()?, words, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                // Less than a word is not progress; only a disk without any room causes it.
                Ok(count) if count < size_of::<u64>() => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let whole = count / size_of::<u64>();
                    (words, offset) = (&words[whole..], offset + (whole * size_of::<u64>()) as u64);
                }
            }
        }
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::format::checksum::lane_key;
    use crate::format::slot::classify;
    use crate::place::segment::{LaneSegments, is_done};
    use crate::scratch::Scratch;
    use crate::write::lane::{Message, Origin};
    use std::fs::OpenOptions;
    use std::io::Write;

    const SLOTS: u64 = 64;

    fn fill(lane: &mut Lane<'_>) {
        let origin = Origin { level: 20, call_site: 0, thread: 1, encoding: 0 };
        while lane.has_room(1) {
            lane.append(|| 1, &Message { origin, body: b"text" });
        }
    }

    #[test]
    fn bytes_that_went_astray_into_a_segment_cost_no_slot() {
        let scratch = Scratch::new("astray");
        let geometry = Geometry::new(128, SLOTS as u32, 3, 2, 1 << 16).expect("a geometry");
        let ring = scratch.path().join("host-1-ab.ring");
        let (block, key) = (&*Box::leak(Box::<LaneBlock>::default()), lane_key(&[7; 16], 0));
        let words: Vec<_> = (0..SLOTS * 16).map(|_| crate::atomics::AtomicU64::new(0)).collect();
        let mut lane = Lane::new(block, &words, 16, key);
        let backlog = Backlog::new(&ring, geometry, std::iter::once(block), BUDGET_DEFAULT, false);
        for keeps in 1..=6 {
            fill(&mut lane);
            let first = backlog.keep(0, &mut lane).expect("kept");
            assert_eq!(first, (keeps - 1) * SLOTS + 1);
            let newest = segment::list(&ring, geometry, Some(0)).expect("listed").pop().expect("a segment");
            let stray: &[u8] = [b"".as_slice(), &[b'x'; 128], b"x"][keeps as usize % 3];
            // As another thread would, with a number that it was given for a segment of its own.
            let file = OpenOptions::new().append(true).open(&newest.path).expect("open");
            (&file).write_all(stray).expect("written");
        }
        let all: Vec<u64> = (1..=6 * SLOTS).collect();
        let mut buffer = vec![0; all.len() * 128];
        let mut segments = LaneSegments::list(&ring, geometry, 0, key).expect("listed");
        segments.fill(1, &all, &mut buffer).expect("read");
        let slots = buffer.chunks_exact_mut(128).zip(1..);
        let lost: Vec<u64> = slots.filter_map(|(slot, n)| (!is_done(classify(slot, n, key))).then_some(n)).collect();
        assert_eq!(lost, [], "slots that no segment holds");
    }

    #[test]
    fn what_goes_astray_through_a_segment_s_descriptor_leaves_its_slots() {
        let scratch = Scratch::new("appended");
        let path = scratch.path().join("segment");
        std::fs::write(&path, b"slots").expect("written");
        let file = open::file(&path, WRITTEN, PRIVATE).expect("open");
        let word = [crate::atomics::AtomicU64::new(u64::MAX)];
        write_words_at(&file, &word, 0).expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"slots\xff\xff\xff\xff\xff\xff\xff\xff");
    }
}
