//! A descriptor table for a single thread.
//!
//! The threads of a process share one table of descriptors. Code that closes everything it does not know also closes what our
//! thread has open, and gets our numbers for its own files; if it has used up all numbers, our thread gets none. So the
//! flusher's thread starts with a table of its own (`close_range` with `CLOSE_RANGE_UNSHARE`, Linux 5.9): what the program
//! closes stays open there, what is opened there has no number in the program, and a forked child gets the table of the thread
//! that forks.
//!
//! | what it takes along | why |
//! |---|---|
//! | the held folders | after a chroot nothing else leads there |
//! | both ends of the wake-up pipe | the program's threads wake it; and without the writing end here, a program that closes its own would cause an end of file, which ends every sleep |
//! | descriptors of ancestor processes | nothing else may reveal how those ended |
//!
//! Nothing else of the program's stays open: the reader of a pipe waits until every writing end is closed. Nor do the standard
//! streams: 0, 1 and 2 lead nowhere, and messages for standard error take a path of their own, see `stderr.rs`; code that
//! writes to the number itself, a panic hook or another handler of a fatal signal, gets it on loan (`stderr::lend`).
//!
//! Foreign code may run on the thread, for instance an allocator that records its calls, and write to numbers of the program's.
//! Our files have higher ones, as everywhere (`descriptor.rs`), so such a write is an error.
//!
//! On an older kernel, or if a filter refuses the call, the thread shares the table like all others. Identities are checked in
//! either case: a restore from a checkpoint may give all threads one table.

use crate::mutant::{self, Mutant};
use crate::place::ancestors;
use crate::place::descriptor::{Identity, Kept, Opened};
use crate::place::open::{self, STANDARD_ERROR};
use crate::sys::numbers;
use rustix::event::epoll;
use rustix::io::fcntl_dupfd_cloexec;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

/// Gives the calling thread, which is one of ours and has opened nothing yet, a table of its own, if possible, with these
/// descriptors besides the held folders.
pub fn take(mut others: Vec<(RawFd, Identity)>) {
    let folders = open::held_now();
    others.extend(ancestors::numbers());
    let all = folders.iter().map(|(_, number, _)| *number).chain(others.iter().map(|(number, _)| *number));
    if mutant::is(Mutant::TableShared) || !leave_with(all.collect()) {
        return;
    }
    numbers::own_table_begins();
    // Between the check and the call the program may have reused a number for a file of its own.
    others.into_iter().for_each(|(number, identity)| _ = is_it(number, identity));
    for (held, number, identity) in folders {
        if is_it(number, identity)
            && let Ok(folder) = Opened::new(numbers::adopt(number))
        {
            open::hold_here(held, Kept::at_its_number(folder));
        }
    }
    lead_nowhere();
}

/// Creates the table, with the descriptors of these numbers; false if that is impossible.
fn leave_with(mut wanted: Vec<RawFd>) -> bool {
    wanted.sort_unstable();
    if mutant::is(Mutant::TableCopied) {
        return numbers::leave_table(RawFd::MAX, RawFd::MAX).is_ok();
    }
    let (mut first, mut is_made) = (0, false);
    // The call that creates the table drops most of the program's descriptors; those that it copies are closed at once.
    for next in wanted.into_iter().chain([RawFd::MAX]) {
        if first < next {
            let left_out = if is_made { numbers::close_all } else { numbers::leave_table }(first, next - 1);
            if left_out.is_err() && !is_made {
                return false;
            }
            is_made = true;
        }
        first = next.saturating_add(1);
    }
    is_made
}

/// Whether the number refers to this. Anything else that it refers to is closed.
fn is_it(number: RawFd, identity: Identity) -> bool {
    let found = numbers::look(number).map(|found| Identity::of(&found));
    let is_it = found.as_ref().is_ok_and(|found| *found == identity);
    if found.is_ok() && !is_it {
        let _ = numbers::close_all(number, number);
    }
    is_it
}

/// Points the free numbers of the standard streams to something that can be neither read nor written, so that no file gets
/// them: an empty epoll. A folder would keep its file system from being unmounted.
pub fn lead_nowhere() {
    let mut lowest = epoll::create(epoll::CreateFlags::CLOEXEC);
    while let Ok(nowhere) = lowest
        && nowhere.as_raw_fd() <= STANDARD_ERROR
    {
        lowest = fcntl_dupfd_cloexec(&nowhere, 0);
        // For the lifetime of the table.
        let _ = nowhere.into_raw_fd();
    }
}
