//! Users and groups: the C library's databases, and the identity of the process, or of one of its threads.

use std::ffi::CString;
use std::ffi::{CStr, c_long};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Largest entry of the user and group databases that is read, in bytes.
const ENTRY_MAX: usize = 1 << 20;
/// Most groups of a user.
const GROUPS_MAX: usize = 65_536;
/// Leaves an id unchanged.
const UNCHANGED: u32 = u32::MAX;

/// The groups of a user: the primary one, and all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) primary: u32,
    pub(crate) all: Vec<u32>,
}

/// Looks up an entry whose text may need a buffer of any size. None if it is missing, or the database cannot be read.
fn look_up<T>(work: impl Fn(&mut [libc::c_char]) -> (i32, Option<T>)) -> Option<T> {
    let mut size = 1024;
    loop {
        let (error, found) = work(&mut vec![0; size]);
        if error != libc::ERANGE || size >= ENTRY_MAX {
            return found.filter(|_| error == 0);
        }
        size *= 4;
    }
}

/// The groups of this user according to the system's databases; None if the user is unknown.
pub(crate) fn groups_of(uid: u32) -> Option<Groups> {
    let (name, primary) = look_up(|buffer| {
        let (mut entry, mut found) = (MaybeUninit::<libc::passwd>::zeroed(), ptr::null_mut());
        // SAFETY: the entry, the buffer of the given length, and the pointer outlive the call. If `found` is not null, it
        // points to the entry, which is then filled, with a name that ends within the buffer.
        unsafe {
            let error = libc::getpwuid_r(uid, entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found);
            let name = found.as_ref().map(|found| (CStr::from_ptr(found.pw_name).to_owned(), found.pw_gid));
            (error, name)
        }
    })?;
    let mut all: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = all.len() as i32;
        // SAFETY: the name is a C string, and the list has room for as many groups as the count says.
        let fits = unsafe { libc::getgrouplist(name.as_ptr(), primary, all.as_mut_ptr(), &raw mut count) } >= 0;
        if fits || all.len() >= GROUPS_MAX {
            all.truncate(count.max(0) as usize);
            return Some(Groups { primary, all });
        }
        all.resize(GROUPS_MAX.min(all.len() * 4), 0);
    }
}

/// The number of the group with this name, which may be a number itself; None if there is none.
pub(crate) fn group_id(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number).filter(|number| *number != UNCHANGED);
    }
    let name = CString::new(name).ok()?;
    look_up(|buffer| {
        let (mut entry, mut found) = (MaybeUninit::<libc::group>::zeroed(), ptr::null_mut());
        // SAFETY: as in `groups_of`.
        unsafe {
            let size = buffer.len();
            let error = libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), buffer.as_mut_ptr(), size, &raw mut found);
            (error, found.as_ref().map(|found| found.gr_gid))
        }
    })
}

/// Makes the whole process this user's, permanently.
///
/// # Errors
/// EPERM without permission, EINVAL if an id is not mapped in this user namespace.
pub(crate) fn become_user(uid: u32, groups: &Groups) -> io::Result<()> {
    let check = |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let Groups { primary, all } = groups;
    // SAFETY: the list has the given length; the other calls take no address. The order keeps the permission for the next step.
    unsafe {
        check(libc::setgroups(all.len(), all.as_ptr()))?;
        check(libc::setresgid(*primary, *primary, *primary))?;
        check(libc::setresuid(uid, uid, uid))?;
        // With capabilities kept by its security bits, the process could undo this.
        if uid != 0 && libc::setresuid(UNCHANGED, 0, UNCHANGED) == 0 {
            return Err(io::Error::other("the rights of root stay with this process (its securebits)"));
        }
    }
    Ok(())
}

/// Makes the calling thread, and no other, create files as this user and group. Returns whether that succeeded.
pub(crate) fn act_as(uid: u32, gid: u32) -> bool {
    // SAFETY: these calls take no address. They concern the calling thread only, return the previous id, and change nothing if
    // the id is invalid, as in the last one.
    unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        libc::setfsuid(UNCHANGED) as u32 == uid && libc::setfsgid(UNCHANGED) as u32 == gid
    }
}

/// Removes all groups but this one from the calling thread, and from no other. False if not permitted.
pub(crate) fn leave_groups_but(gid: u32) -> bool {
    // SAFETY: the list is one local number. The C library's function would apply to all threads.
    unsafe { libc::syscall(libc::SYS_setgroups, 1 as c_long, &raw const gid) == 0 }
}

/// Whether the program runs with more rights than its caller: set-user-id, set-group-id, or file capabilities.
pub(crate) fn is_privileged_program() -> bool {
    // SAFETY: getauxval takes no address.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
