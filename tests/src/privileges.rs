//! A process's user and root: what programs change after they have set up their log.
#![allow(unsafe_code)]

use std::ffi::CString;

fn check(result: i32) {
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Becomes this user for good, as daemons do: groups, group, user.
///
/// # Panics
/// If it may not.
pub fn become_user(id: u32) {
    // SAFETY: the list is one local number; the others take no address.
    unsafe {
        check(libc::setgroups(1, &raw const id));
        check(libc::setgid(id));
        check(libc::setuid(id));
    }
}

/// Makes `folder` the root, and the working directory.
///
/// # Panics
/// If it may not.
pub fn change_root(folder: &str) {
    let folder = CString::new(folder).expect("a path");
    // SAFETY: the paths are C strings.
    unsafe {
        check(libc::chroot(folder.as_ptr()));
        check(libc::chdir(c"/".as_ptr()));
    }
}
