//! The embedded flusher of a process: a thread that stands by, and drains for all processes when it is elected.

use crate::logger::ring_logger::Logger;
use crate::logger::{no_thread, own_thread};
use crate::process::filter_changes;
use crate::process::logger_cell::{LoggerCell, cells, ring_doorbells, sync_rings as sync_rings_of};
use crate::sys::{capture, wake};
use lastwords_flusher::evidence::witness::Witnesses;
use lastwords_flusher::files::notices;
use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_flusher::vigil::Vigil;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::doorbell::Doorbell;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use lastwords_ring::place::own_table;
use lastwords_ring::place::owner;
use lastwords_ring::place::process::ProcessState;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::sys::hooks;
use lastwords_ring::sys::process_page;
use lastwords_ring::sys::thread_lock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for the end of the flusher's process before checking again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Like [`LOOK_AGAIN`], if that process cannot be watched.
const LOOK_AGAIN_BLIND: Duration = Duration::from_millis(200);

/// Longest wait for a thread that must end before a fork. One that writes to a stuck disk is left running.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Longest wait for the kernel to finish with a thread that has ended. A filter may refuse the question.
const GONE_MAX: Duration = Duration::from_millis(50);

/// Time after which a thread that must end is woken by more than its doorbell, which wakes all others as well.
const WOKEN_AFTER: Duration = Duration::from_millis(5);

/// A thread that stands by for a folder.
#[derive(Debug)]
struct StandBy {
    folder: Folder,
    /// The process that the thread belongs to. A forked child finds its parent's.
    pid: u32,
    handle: JoinHandle<()>,
    shared: Arc<Shared>,
}

/// State shared with the thread.
#[derive(Debug, Default)]
struct Shared {
    /// Set if it must end, because no logger of this process is left in the folder.
    unused: AtomicBool,
    /// Its id, once it runs.
    thread: AtomicU32,
}

impl StandBy {
    /// Waits for a thread that is about to end until the kernel has finished with it as well: it closes the thread's own
    /// descriptors only after a join has returned, and code that counts threads before a fork would still find it.
    fn join(self) {
        let _ = self.handle.join();
        let start = Instant::now();
        let thread = self.shared.thread.load(Ordering::Acquire);
        while !thread_lock::has_ended(thread) && start.elapsed() < GONE_MAX {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
}

/// All of them. This lock is never waited for: if a thread was starting one while the process was forked, the child would wait
/// for ever.
static STANDING_BY: Mutex<Vec<StandBy>> = Mutex::new(Vec::new());
/// The threads' state, one of [`state`].
static STATE: AtomicU32 = AtomicU32::new(state::RUN);

/// States of the threads.
mod state {
    /// They run, if there are any.
    pub(super) const RUN: u32 = 0;
    /// They must end, or have ended, and none is started.
    pub(super) const PAUSED: u32 = 1;
    /// The next record starts them again.
    pub(super) const DUE: u32 = 2;
}

/// Starts the threads of this process's loggers.
fn start_all() {
    cells().filter_map(LoggerCell::made_here).for_each(start_for);
}

/// Starts the thread that flushes the folder of a logger, if this process may flush.
pub(crate) fn start_for(logger: &Logger) {
    if logger.builder().flushes() {
        start(logger.folder());
    }
}

/// Starts the thread, one for each folder.
fn start(folder: &Folder) {
    let pid = process_page::pid();
    let mut standing_by = STANDING_BY.try_lock().ok();
    if STATE.load(Ordering::Acquire) == state::PAUSED {
        return;
    }
    let is_it = |other: &StandBy| {
        let (runs, unused) = (!other.handle.is_finished(), other.shared.unused.load(Ordering::Acquire));
        other.pid == pid && other.folder == *folder && runs && !unused
    };
    if standing_by.as_ref().is_some_and(|list| list.iter().any(is_it)) {
        return;
    }
    wake::prepare();
    let (own, since, shared) = (folder.clone(), clock::realtime_ns(), Arc::new(Shared::default()));
    let mine = Arc::clone(&shared);
    let body = move || {
        mine.thread.store(rustix::thread::gettid().as_raw_nonzero().get() as u32, Ordering::Release);
        hooks::settle_thread();
        prefault_ahead();
        own_table::take(wake::numbers());
        own_thread::mark();
        if let Some((uid, gid)) = own.owner() {
            owner::act_for_good(uid, gid);
        }
        stand_by(&own, since, &|| is_ending() || mine.unused.load(Ordering::Acquire));
    };
    match std::thread::Builder::new().name("lastwords".to_owned()).spawn(body) {
        Ok(handle) => {
            if let Some(list) = &mut standing_by {
                list.push(StandBy { folder: folder.clone(), pid, handle, shared });
            }
        }
        Err(error) => {
            no_thread::note(pid, start_all);
            if REPORTED_IN.swap(pid, Ordering::AcqRel) != pid {
                complain(format_args!(
                    "no thread for the flusher ({error}); what is logged stays in the ring, and this is tried again while \
                     something is logged"
                ));
            }
        }
    }
}

/// The process that has reported it.
static REPORTED_IN: AtomicU32 = AtomicU32::new(0);

/// Ends this process's flusher threads, for a runtime that is about to fork and objects to threads that it does not know. Each
/// finishes its batch and gives the lock to another process. None is started before [`resume`] or [`resume_with_next_record`].
pub fn pause() {
    if mutant::is(Mutant::ThreadsKept) {
        return;
    }
    STATE.store(state::PAUSED, Ordering::Release);
    let Ok(mut list) = STANDING_BY.try_lock() else { return };
    ring_doorbells();
    wake::wake();
    let (me, start) = (process_page::pid(), Instant::now());
    for other in list.drain(..) {
        if other.pid != me {
            // In this process the thread does not exist.
            std::mem::forget(other.handle);
            continue;
        }
        while !other.handle.is_finished() && start.elapsed() < PAUSE_MAX {
            std::thread::sleep(Duration::from_micros(50));
        }
        if other.handle.is_finished() {
            other.join();
        }
    }
    wake::rest();
}

/// Ends the thread of a folder in which no logger of this process is left. It finishes its batch and gives the lock to another
/// process; one that writes to a stuck disk is left to itself. Returns whether it has ended, or there was none.
pub(crate) fn leave(folder: &Folder) -> bool {
    let (pid, start) = (process_page::pid(), Instant::now());
    let Some(mut list) = lock_within(PAUSE_MAX) else { return false };
    let is_it = |other: &StandBy| other.pid == pid && other.folder == *folder;
    let mut leaving: Vec<StandBy> = list.extract_if(.., |other| is_it(other)).collect();
    leaving.iter().for_each(|other| other.shared.unused.store(true, Ordering::Release));
    drop(list);
    // The elected one listens to the doorbell; one that waits for another process's end is woken as well.
    let doorbell = Doorbell::open(folder);
    let mut is_woken = false;
    while leaving.iter().any(|other| !other.handle.is_finished()) && start.elapsed() < PAUSE_MAX {
        let _ = doorbell.as_ref().map(Doorbell::ring);
        if !is_woken && start.elapsed() > WOKEN_AFTER {
            is_woken = true;
            wake::wake();
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    if is_woken {
        wake::rest();
    }
    for ended in leaving.extract_if(.., |other| other.handle.is_finished()) {
        ended.join();
    }
    leaving.is_empty()
}

/// The list, with a limited wait: the thread that has it may be one of a forked child's parent.
fn lock_within(longest: Duration) -> Option<MutexGuard<'static, Vec<StandBy>>> {
    let start = Instant::now();
    loop {
        match STANDING_BY.try_lock() {
            Ok(list) => return Some(list),
            Err(_) if start.elapsed() >= longest => return None,
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// Restarts the threads that [`pause`] has ended, if this process has loggers that flush. A forked child, which has none yet,
/// starts one with its first record.
pub fn resume() {
    if STATE.swap(state::RUN, Ordering::AcqRel) != state::RUN {
        start_all();
    }
}

/// Makes the next [`crate::Log::record`] or [`crate::Log::flush`] restart the threads, unless they are restarted before.
pub fn resume_with_next_record() {
    let _ = STATE.compare_exchange(state::PAUSED, state::DUE, Ordering::AcqRel, Ordering::Relaxed);
}

/// Whether a record has to start the threads.
#[inline]
pub(crate) fn is_due() -> bool {
    STATE.load(Ordering::Relaxed) == state::DUE
}

/// Starts them if so.
pub(crate) fn resume_if_due() {
    if is_due() {
        resume();
    }
}

/// Set once this process ends.
static ENDING: AtomicBool = AtomicBool::new(false);

/// How many of this process's threads are elected.
fn elected() -> Option<&'static AtomicU32> {
    process_page::page().map(|page| &page.elected)
}

/// At exit: makes the elected threads of this process finish their batch, note so in the journal, and give the lock to another
/// process. They notice at the next ring of their doorbell.
pub(crate) fn end() {
    ENDING.store(true, Ordering::Release);
}

/// Waits until they have.
pub(crate) fn wait_for_end(timeout: Duration) {
    let start = Instant::now();
    let is_elected = || elected().is_some_and(|count| count.load(Ordering::Acquire) > 0);
    while is_elected() && start.elapsed() < timeout {
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn stand_by(folder: &Folder, since: u64, is_ending: &impl Fn() -> bool) {
    let (mut reported, mut witnesses, mut vigil) = (false, Witnesses::new(), Vigil::default());
    while !is_ending() {
        // If it cannot be checked, it is treated as unchanged.
        let _ = folder.refresh();
        match Flusher::elect(folder, since) {
            Ok(Election::Won(mut flusher)) => {
                elected().inspect(|count| _ = count.fetch_add(1, Ordering::AcqRel));
                flusher.hear(std::mem::replace(&mut witnesses, Witnesses::new()));
                flusher.run(is_ending);
                drop(flusher);
                elected().inspect(|count| _ = count.fetch_sub(1, Ordering::AcqRel));
            }
            Ok(Election::Lost(holder)) => {
                let holder = holder.filter(Holder::may_live);
                if vigil.look(folder, holder, Instant::now()) {
                    sync_rings(folder, &vigil, is_ending);
                } else {
                    wait_for_holders_end(holder, &mut witnesses, vigil.sleep(LOOK_AGAIN));
                }
            }
            Err(error) => {
                if !reported {
                    match folder.refusal() {
                        Some(why) => complain(format_args!("{}", notices::rights_lost(folder, &why))),
                        None => complain(format_args!("cannot flush: {error}; what is logged stays in the rings")),
                    }
                }
                reported = true;
                wake::sleep(LOOK_AGAIN);
            }
        }
    }
}

fn prefault_ahead() {
    cells().filter_map(LoggerCell::made_here).for_each(Logger::prefault_ahead);
}

/// What a void capture has left in its file goes.
fn wipe_captures() {
    cells().filter_map(LoggerCell::made_here).filter_map(Logger::capture_file).for_each(capture::wipe);
}

/// Whether this process ends, or its threads must. Called in every pass and between long sleeps; also follows changes of the
/// filter, faults lanes in, and wipes what void captures have left.
fn is_ending() -> bool {
    filter_changes::follow();
    prefault_ahead();
    wipe_captures();
    ENDING.load(Ordering::Acquire) || STATE.load(Ordering::Acquire) == state::PAUSED
}

/// Sleeps until the holder's process ends, if that is visible, at most for `longest`. The one that sees it end knows how, and
/// may be the only one. The holder's pid here may be another process's, or a zombie's, whose end is reported at once and for
/// ever: such a sleep would return immediately.
fn wait_for_holders_end(holder: Option<Holder>, witnesses: &mut Witnesses, longest: Duration) {
    let lives = |holder: &Holder| holder.process.state(holder.file) == ProcessState::Alive;
    let witness = holder.filter(lives).and_then(|holder| witnesses.expect(holder.process));
    match witness.as_ref().map(|witness| witness.descriptor()) {
        Some(Ok(end)) => wake::sleep_beside(longest, end),
        _ => wake::sleep(LOOK_AGAIN_BLIND.min(longest)),
    }
}

/// Until the next check of a stalled flusher: syncs this process's rings in the folder as often as they request, because the
/// flusher does not.
fn sync_rings(folder: &Folder, vigil: &Vigil, is_ending: &impl Fn() -> bool) {
    let (start, until) = (Instant::now(), vigil.sleep(LOOK_AGAIN));
    loop {
        let every = sync_rings_of(folder);
        wake::sleep(every.unwrap_or(until).min(until));
        if start.elapsed() >= until || is_ending() {
            return;
        }
    }
}
