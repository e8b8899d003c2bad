//! Wakes this process's sleeping threads: a pipe, which each of them watches while it sleeps.
//!
//! A pipe, because it can be distinguished from every other by its inode; all eventfds share one. A forked child has its own.

use lastwords_ring::place::descriptor::{Identity, Kept, Opened};
use lastwords_ring::sys::process_page::ProcessCell;
use lastwords_ring::sys::ready::timespec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

/// The two ends.
#[derive(Debug)]
struct Pipe {
    read: Kept,
    write: Kept,
}

/// This process's pipe.
static WAKE: ProcessCell<Pipe> = ProcessCell::new();

/// Creates this process's pipe, if it has none. Without one, threads sleep for the full time.
pub(crate) fn prepare() {
    if WAKE.get().is_some() || !WAKE.begin() {
        return;
    }
    match make() {
        Some(pipe) => drop(WAKE.set(Box::new(pipe))),
        None => WAKE.cancel(),
    }
}

fn make() -> Option<Pipe> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
    let keep = |end| Opened::new(end).and_then(Kept::new).ok();
    Some(Pipe { read: keep(read)?, write: keep(write)? })
}

/// Both ends, by number, which is the same in a copied table.
pub(crate) fn numbers() -> Vec<(RawFd, Identity)> {
    let ends = WAKE.get().into_iter().flat_map(|pipe| [&pipe.read, &pipe.write]);
    ends.filter_map(|end| Some((end.file().ok()?.as_raw_fd(), end.identity()))).collect()
}

/// The reading end; None if there is no pipe, or other code has closed it.
fn descriptor() -> Option<&'static File> {
    WAKE.get()?.read.file().ok()
}

/// Wakes all threads that sleep here, and makes further sleeps end at once, until [`rest`].
pub(crate) fn wake() {
    let _ = WAKE.get().map(|pipe| pipe.write.file().map(|file| write(file, &[1])));
}

/// Lets threads sleep again.
pub(crate) fn rest() {
    let _ = descriptor().map(|file| read(file, &mut [0; 64]));
}

/// Sleeps.
pub(crate) fn sleep(timeout: Duration) {
    match descriptor() {
        Some(fd) => wait(&mut [PollFd::new(&fd, PollFlags::IN)], timeout),
        None => std::thread::sleep(timeout),
    }
}

/// Sleeps until there is something to read from `other`.
pub(crate) fn sleep_beside(timeout: Duration, other: &impl AsFd) {
    match descriptor() {
        Some(fd) => wait(&mut [PollFd::new(other, PollFlags::IN), PollFd::new(&fd, PollFlags::IN)], timeout),
        None => wait(&mut [PollFd::new(other, PollFlags::IN)], timeout),
    }
}

fn wait(fds: &mut [PollFd<'_>], timeout: Duration) {
    let _ = poll(fds, Some(&timespec(timeout)));
}
