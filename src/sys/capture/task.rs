//! The threads of this process, as `/proc` shows them. One descriptor is open at a time.

use crate::sys::capture::lines;
use lastwords_ring::format::capture_record::NAME;
use lastwords_ring::sys::hooks;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, RawDir};
use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;

/// Room for the entries of a folder, and for the longest line of a file that is of interest.
pub(super) const ENTRIES: usize = 4 << 10;
pub(super) const TEXT: usize = 8 << 10;
/// Room for a path.
const PATH: usize = 64;

/// What a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) name: [u8; NAME],
    /// It runs, or waits so that a signal ends that.
    pub(super) is_responsive: bool,
    /// The signals that it blocks, that of number 1 in the lowest bit.
    pub(super) blocked: u64,
}

/// Hands the id of each thread to `each`.
pub(super) fn for_each(entries: &mut [MaybeUninit<u8>; ENTRIES], mut each: impl FnMut(i32)) {
    with(c"/proc/self/task", OFlags::DIRECTORY, |folder| {
        let mut list = RawDir::new(folder, entries);
        while let Some(Ok(entry)) = list.next() {
            if let Some(thread) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) {
                each(thread);
            }
        }
    });
}

/// What this thread is; None if it has ended, or there is no such file.
pub(super) fn status(thread: i32, text: &mut [u8; TEXT]) -> Option<Status> {
    let (mut name, mut is_responsive, mut blocked) = ([0; NAME], None, None);
    for_each_line(thread, "status", text, |line| {
        if let Some(found) = line.strip_prefix(b"Name:\t") {
            let length = found.len().min(NAME);
            name[..length].copy_from_slice(&found[..length]);
        } else if let Some(found) = line.strip_prefix(b"State:\t") {
            is_responsive = Some(matches!(found.first(), Some(b'R' | b'S')));
        } else if let Some(found) = line.strip_prefix(b"SigBlk:\t") {
            blocked = hexadecimal(found);
        }
    });
    Some(Status { name, is_responsive: is_responsive?, blocked: blocked? })
}

/// Stack pointer and program counter of a thread that waits in the kernel; None if it runs.
pub(super) fn position(thread: i32, text: &mut [u8; TEXT]) -> Option<(u64, u64)> {
    let mut found = None;
    for_each_line(thread, "syscall", text, |line| found = position_in(line));
    found
}

/// The last two words of a line, in hexadecimal.
fn position_in(line: &[u8]) -> Option<(u64, u64)> {
    let mut words = line.rsplit(|byte| *byte == b' ').map(|word| hexadecimal(word.strip_prefix(b"0x")?));
    let (pc, sp) = (words.next()??, words.next()??);
    Some((sp, pc))
}

/// Hands each line of a thread's file to `each`, if there is one.
fn for_each_line(thread: i32, name: &str, text: &mut [u8; TEXT], each: impl FnMut(&[u8])) {
    let mut path = [0; PATH];
    let written = write!(&mut path[..], "/proc/self/task/{thread}/{name}\0");
    if let (Ok(()), Ok(path)) = (written, CStr::from_bytes_until_nul(&path)) {
        with(path, OFlags::empty(), |file| lines::for_each(file, text, each));
    }
}

/// Runs `work` with this file, if it can be opened.
fn with(path: &CStr, more: OFlags, work: impl FnOnce(BorrowedFd<'_>)) {
    if let Ok(file) = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | more, Mode::empty()) {
        work(file.as_fd());
        hooks::close(file);
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_thread_is_found_with_its_name_and_what_it_blocks() {
        let me = rustix::thread::gettid().as_raw_nonzero().get();
        let mut found = false;
        for_each(&mut [MaybeUninit::uninit(); ENTRIES], |thread| found |= thread == me);
        assert!(found);
        let status = status(me, &mut [0; TEXT]).expect("it is there");
        assert!(status.is_responsive && status.blocked == 0, "{status:?}");
        let name = std::fs::read_to_string("/proc/thread-self/comm").expect("a name");
        assert!(status.name.starts_with(name.trim().as_bytes()), "{status:?}, {name}");
        // It is in the kernel while it asks.
        let local = 0_u8;
        let (sp, pc) = position(me, &mut [0; TEXT]).expect("within read(2)");
        assert!((&raw const local as u64).abs_diff(sp) < 64 << 10 && pc != 0, "{sp:x} {pc:x}");
    }

    #[test]
    fn a_place_in_the_kernel_is_the_end_of_its_line() {
        let read = b"0 0x3 0x7ffc10 0x10 0x0 0x0 0x0 0x7ffd1234 0x7f5678";
        assert_eq!(position_in(read), Some((0x7ffd_1234, 0x7f_5678)));
        assert_eq!(position_in(b"-1 0x7ffd1234 0x7f5678"), Some((0x7ffd_1234, 0x7f_5678)));
        for none in [&b""[..], b"running", b"0x10", b"-1 0x 0x", b"7 8"] {
            assert_eq!(position_in(none), None);
        }
    }
}
