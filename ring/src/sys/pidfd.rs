//! The kernel's record of a process that has ended, queried through a descriptor that was opened while it existed.
//!
//! `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, Linux 6.15 and later (`linux/pidfd.h`): the wait status, even of a process that is
//! not a child of the caller and was reaped long ago. It is not available before the process is reaped, nor from a pid
//! namespace that does not contain it. Older kernels refuse the request (ENOTTY, EINVAL), or answer without that part.

use std::os::fd::{AsFd, AsRawFd};

/// `PIDFD_INFO_EXIT`: requests the wait status, and is set in the answer if it is present.
const INFO_EXIT: u64 = 1 << 3;

/// `struct pidfd_info` in its first version, accepted by every kernel that supports the request.
#[repr(C)]
#[derive(Debug, Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    /// Process, thread group and parent, then the real, effective, saved and file system ids of user and group.
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const GET_INFO: rustix::ioctl::Opcode = rustix::ioctl::opcode::read_write::<PidfdInfo>(0xFF, 11);

const _: () = assert!(size_of::<PidfdInfo>() == 64);

/// The status as reported by wait(2), once the process has ended and been reaped, if this kernel provides it.
pub fn wait_status(pidfd: &impl AsFd) -> Option<i32> {
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the request reads and writes a structure of the size encoded in its number. A descriptor of another kind, if the
    // number was reused, refuses it: the type 0xFF is unique to pidfds.
    let answer = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), GET_INFO as libc::Ioctl, &raw mut info) };
    (answer == 0 && info.mask & INFO_EXIT != 0).then_some(info.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::process::{Command, Stdio};

    #[test]
    fn nothing_is_known_of_a_process_that_lives_and_of_what_is_no_process() {
        let me = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).expect("opened");
        assert_eq!(wait_status(&me), None);
        let file = std::fs::File::open("/dev/null").expect("opened");
        assert_eq!(wait_status(&file), None);
    }

    #[test]
    fn the_status_of_a_process_is_known_after_somebody_reaped_it() {
        let mut child =
            Command::new("sh").args(["-c", "read x; exit 3"]).stdin(Stdio::piped()).spawn().expect("started");
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("opened");
        drop(child.stdin.take());
        assert_eq!(child.wait().expect("reaped").code(), Some(3));
        match wait_status(&pidfd) {
            None => println!("skipped: this kernel keeps no wait status, which takes Linux 6.15"),
            found => assert_eq!(found, Some(3 << 8)),
        }
    }
}
