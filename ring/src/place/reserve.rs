//! Space for a file before it is needed, so that a full disk is an error here.

use rustix::fs::{FallocateFlags, IFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// File systems that write stored data elsewhere instead of in place, so that preallocated bytes may still find no room: btrfs,
/// bcachefs.
const COPYING: [u64; 2] = [0x9123_683e, 0xca45_1a4e];

/// Asks the file system to store the file in place if it supports that, which it does only for an empty file. It still copies
/// what a snapshot or a reflink shares.
pub(crate) fn never_copy_on_write(file: &File) {
    if rustix::fs::fstatfs(file).is_ok_and(|found| COPYING.contains(&(found.f_type as u64 & 0xffff_ffff))) {
        // The guard against SIGBUS remains if this is refused.
        let _ =
            rustix::fs::ioctl_getflags(file).and_then(|flags| rustix::fs::ioctl_setflags(file, flags | IFlags::NOCOW));
    }
}

/// Reserves `size` bytes, by writing them if the file system has no other way.
pub(crate) fn reserve(file: &File, size: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        done => return Ok(done?),
    }
    let mut offset = 0;
    while offset < size {
        let length = (size - offset).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..length as usize], offset)?;
        offset += length;
    }
    Ok(())
}
