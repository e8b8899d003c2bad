//! A program that closes, reuses and hands on descriptors that it does not know, as daemonisers and sandboxes do.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What each of the program's own files holds.
const OWN: &str = "this is the program's own\n";

/// The program's own files, with what they are to hold.
static OWNED: Mutex<Vec<(PathBuf, File)>> = Mutex::new(Vec::new());

/// Closes the descriptors from `first` to `last`, by close_range(2) or one by one.
///
/// # Panics
/// If close_range fails.
pub fn close(first: u32, last: u32, at_once: bool) {
    if at_once {
        // SAFETY: the point of the test is that descriptors are closed which somebody else holds.
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
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).expect("made");
        file.write_all(OWN.as_bytes()).expect("written");
        owned.push((path, file));
    }
}

/// Puts a file of the program's own over each descriptor from `first` to `last` that is open.
///
/// # Panics
/// If it cannot.
pub fn dup_own_over(first: RawFd, last: RawFd) {
    let owned = OWNED.lock().expect("nobody panicked");
    let (_, file) = owned.first().expect("a file of its own");
    for fd in first..=last {
        // SAFETY: F_GETFD only asks, and dup2 onto a number that somebody else holds is the point of the test.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) >= 0 {
                assert_eq!(libc::dup2(file.as_raw_fd(), fd), fd);
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

/// Says whether the program's own files hold what it wrote, and are open.
#[must_use]
pub fn check_own() -> String {
    for (path, file) in OWNED.lock().expect("nobody panicked").iter_mut() {
        let mut text = Vec::new();
        if let Err(error) = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut text)) {
            return format!("{}: {error}", path.display());
        }
        let named = fs::read(&*path).unwrap_or_default();
        if text != OWN.as_bytes() || named != OWN.as_bytes() {
            return format!("{} holds {}", path.display(), text.escape_ascii());
        }
    }
    "own files are untouched".to_owned()
}

/// Writes to a descriptor by its number alone. Returns whether it was open.
#[must_use]
pub fn write_to(fd: RawFd, bytes: &[u8]) -> bool {
    // SAFETY: the bytes are valid for their length.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) >= 0 }
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
