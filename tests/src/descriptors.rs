//! A program that closes, reuses and hands on descriptors that it does not know, as daemonisers and sandboxes do.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{IntoRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What each of the program's own files holds.
const OWN: &str = "this is the program's own\n";

/// What is printed if the program's own files were not touched.
pub const UNTOUCHED: &str = "own files are untouched";

/// The program's own files: their names, and their numbers, which others may close.
static OWNED: Mutex<Vec<(PathBuf, RawFd)>> = Mutex::new(Vec::new());

/// Closes the descriptors from `first` to `last`, by close_range(2) or one by one.
///
/// # Panics
/// If close_range fails.
pub fn close(first: u32, last: u32, at_once: bool) {
    if at_once {
        // SAFETY: the point of the test is that descriptors are closed which other code holds.
        assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }, 0);
        return;
    }
    for fd in first..=last {
        // SAFETY: as above.
        unsafe { libc::close(fd as RawFd) };
    }
}

/// Takes `count` numbers for files of the program's own, in `folder`.
///
/// # Panics
/// If they cannot be made.
pub fn open_own(folder: &Path, count: usize) {
    let mut owned = OWNED.lock().expect("nobody panicked");
    for n in 0..count {
        let path = folder.join(format!("own-{}-{n}", std::process::id()));
        let _ = fs::remove_file(&path);
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).expect("made");
        file.write_all(OWN.as_bytes()).expect("written");
        owned.push((path, file.into_raw_fd()));
    }
}

/// Puts a file of the program's own over each descriptor from `first` to `last` that is open.
///
/// # Panics
/// If it cannot.
pub fn dup_own_over(first: RawFd, last: RawFd) {
    let owned = OWNED.lock().expect("nobody panicked");
    let (_, own) = owned.first().expect("a file of its own");
    for fd in first..=last {
        // SAFETY: F_GETFD only asks, and dup2 onto a number that other code holds is the point of the test.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) >= 0 {
                assert_eq!(libc::dup2(*own, fd), fd);
            }
        }
    }
}

/// Has every descriptor survive an exec.
pub fn clear_close_on_exec() {
    for fd in 0..4096 {
        // SAFETY: changes a flag of a descriptor, or fails.
        unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
    }
}

/// Allows this many descriptors.
///
/// # Panics
/// If that cannot be set.
pub fn limit(descriptors: u64) {
    let limit = libc::rlimit { rlim_cur: descriptors, rlim_max: descriptors };
    // SAFETY: the limit is a local.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// Again and again closes everything. With `LASTWORDS_TORTURE_DESCRIPTORS` it also takes numbers for files of the program's own
/// in `folder`; ends the process, and leaves a file with the reason, if those were touched. That happens every few minutes, for
/// between two adjacent system calls of a log call that keeps a full lane nothing can be asked (docs/guarantees.md).
pub fn storm(folder: &Path, run: u32) {
    let own = if std::env::var_os("LASTWORDS_TORTURE_DESCRIPTORS").is_some() { 20 } else { 0 };
    loop {
        std::thread::sleep(std::time::Duration::from_millis(3 + u64::from(run % 7)));
        OWNED.lock().expect("nobody panicked").clear();
        close(3, u32::MAX, true);
        open_own(folder, own);
        std::thread::sleep(std::time::Duration::from_millis(10));
        let found = check_own();
        if found != UNTOUCHED {
            let _ = fs::write(folder.join(format!("spoiled-{run}")), found);
            std::process::abort();
        }
    }
}

/// Again and again closes what is not the program's own and has a number below 1024, and opens files of its own in `folder`;
/// ends the process, and leaves a file with the reason, if those were touched.
pub fn close_every(pause: std::time::Duration, folder: &Path) {
    loop {
        std::thread::sleep(pause);
        for (_, own) in OWNED.lock().expect("nobody panicked").drain(..) {
            close(own as u32, own as u32, false);
        }
        close(3, 1023, true);
        open_own(folder, 20);
        let found = check_own();
        if found != UNTOUCHED {
            let _ = fs::write(folder.join("spoiled"), found);
            std::process::abort();
        }
    }
}

/// Takes every descriptor that the process may have, for good.
pub fn take_all() {
    // SAFETY: a descriptor that no other code knows and that is never closed.
    while unsafe { libc::dup(0) } >= 0 {}
}

/// Again and again allows next to no descriptors for a moment.
pub fn starve() {
    loop {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let before = set_soft_limit(4);
        std::thread::sleep(std::time::Duration::from_millis(5));
        set_soft_limit(before);
    }
}

fn set_soft_limit(descriptors: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a local.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = descriptors;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
        before
    }
}

/// Says whether the program's own files hold what it wrote, and are open.
#[must_use]
pub fn check_own() -> String {
    for (path, own) in OWNED.lock().expect("nobody panicked").iter() {
        let mut text = [0u8; 2 * OWN.len()];
        // SAFETY: the buffer has the given length; the point is to find out what has the number by now.
        let read = unsafe { libc::pread(*own, text.as_mut_ptr().cast(), text.len(), 0) };
        let text = &text[..usize::try_from(read).unwrap_or(0)];
        let named = fs::read(path).unwrap_or_default();
        if text != OWN.as_bytes() || named != OWN.as_bytes() {
            return format!(
                "{} holds {:?}, its descriptor leads to {:?}",
                path.display(),
                named.escape_ascii().to_string(),
                text.escape_ascii().to_string()
            );
        }
    }
    UNTOUCHED.to_owned()
}

/// Writes to a descriptor by its number alone. Returns whether it was open.
#[must_use]
pub fn write_to(fd: RawFd, bytes: &[u8]) -> bool {
    // SAFETY: the bytes are valid for their length.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) >= 0 }
}

/// How many descriptors the table has that a process's main thread uses.
///
/// # Panics
/// If the process does not live.
#[must_use]
pub fn count_of_process(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count()
}

/// What the descriptors of a process's threads lead to that have tables of their own, those within `folder`.
///
/// # Panics
/// If the process does not live.
#[must_use]
pub fn of_threads_within(pid: u32, folder: &Path) -> Vec<PathBuf> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let flushers = threads.filter(|thread| {
        fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.trim_end() == "lastwords")
    });
    let links = flushers.filter_map(|thread| fs::read_dir(thread.path().join("fd")).ok()).flatten().flatten();
    links.filter_map(|link| fs::read_link(link.path()).ok()).filter(|path| path.starts_with(folder)).collect()
}

/// What the descriptors of a process lead to, those within `folder`.
///
/// # Panics
/// If the process does not live.
#[must_use]
pub fn of_process_within(pid: u32, folder: &Path) -> Vec<PathBuf> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").flatten();
    links.filter_map(|link| fs::read_link(link.path()).ok()).filter(|path| path.starts_with(folder)).collect()
}
