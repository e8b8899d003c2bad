//! A descriptor table of a thread's own.
//!
//! The threads of a process share one table of descriptors. Code that closes everything it does not know closes what our
//! thread has open, too, and gets our numbers for files of its own; where it has used up all numbers, our thread gets none. So the
//! thread that flushes begins with a table of its own (`close_range` with `CLOSE_RANGE_UNSHARE`, Linux 5.9): what the program
//! closes stays open there, what is opened there has no number in the program, and a child that the program forks gets the
//! table of the thread that forks.
//!
//! | what it takes along | why |
//! |---|---|
//! | the folders that are held | in another root nothing else leads there |
//! | both ends of the wake-up pipe | the program's threads wake it; and without its writing end a program that closes that one would leave an end of file, which ends every sleep |
//! | processes that this one was forked from | they may be the only ones that tell how those ended |
//!
//! Nothing else of the program's stays open: the reader of a pipe waits until every writing end is closed. Nor do the standard
//! streams: 0, 1 and 2 lead nowhere, and what is to be said on standard error gets there in its own way, see `stderr.rs`;
//! for what prints there by the number, a panic hook or another handler of a fatal signal, that one is lent (`stderr::lend`).
//!
//! Code of others may run on the thread, an allocator that records its calls for instance, and write to numbers of the program's.
//! Files of ours have higher ones, as everywhere (`descriptor.rs`), so such a write is an error.
//!
//! Where the kernel is older, or a filter refuses the call, the thread shares the table as all others do. Identities are asked for
//! in either: whoever restores a process from a checkpoint may give all of its threads one table.

use crate::mutant::{self, Mutant};
use crate::place::ancestors;
use crate::place::descriptor::{Identity, Kept, Opened};
use crate::place::open::{self, STANDARD_ERROR};
use crate::sys::numbers;
use rustix::event::epoll;
use rustix::io::fcntl_dupfd_cloexec;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

/// Gives the calling thread, which is one of ours and has opened nothing yet, a table of its own, where that can be had;
/// with these descriptors besides the folders that are held.
pub fn take(mut others: Vec<(RawFd, Identity)>) {
    let folders = open::held_now();
    others.extend(ancestors::numbers());
    let all = folders.iter().map(|(_, number, _)| *number).chain(others.iter().map(|(number, _)| *number));
    if mutant::is(Mutant::TableShared) || !leave_with(all.collect()) {
        return;
    }
    numbers::own_table_begins();
    // Between the look and the call somebody may have taken a number for a file of the program's.
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

/// Makes the table, with what has these numbers; false where it cannot be had.
fn leave_with(mut wanted: Vec<RawFd>) -> bool {
    wanted.sort_unstable();
    if mutant::is(Mutant::TableCopied) {
        return numbers::leave_table(RawFd::MAX, RawFd::MAX).is_ok();
    }
    let (mut first, mut is_made) = (0, false);
    // The call that makes the table leaves out most of the program's; what it copies is closed at once.
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

/// Whether the number leads to this. What it leads to instead is closed.
fn is_it(number: RawFd, identity: Identity) -> bool {
    let found = numbers::look(number).map(|found| Identity::of(&found));
    let is_it = found.as_ref().is_ok_and(|found| *found == identity);
    if found.is_ok() && !is_it {
        let _ = numbers::close_all(number, number);
    }
    is_it
}

/// Has the numbers of the standard streams that nobody has lead to what can be neither read nor written, so that no file gets
/// them: an epoll that nothing is in. A folder would keep its file system from being unmounted.
pub fn lead_nowhere() {
    let mut lowest = epoll::create(epoll::CreateFlags::CLOEXEC);
    while let Ok(nowhere) = lowest
        && nowhere.as_raw_fd() <= STANDARD_ERROR
    {
        lowest = fcntl_dupfd_cloexec(&nowhere, 0);
        // For as long as the table is there.
        let _ = nowhere.into_raw_fd();
    }
}
