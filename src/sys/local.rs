//! Thread-locals without a destructor.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::thread::LocalKey;

/// The value of the calling thread's local. Unlike [`LocalKey::with`] it is inlined into the caller, however much that does
/// with it.
#[inline(always)]
pub(crate) fn of_thread<T>(key: &'static LocalKey<RefCell<ManuallyDrop<T>>>) -> &'static RefCell<ManuallyDrop<T>> {
    // SAFETY: the local needs no drop, so it is there until its thread's last instruction, and a reference to a `RefCell`
    // cannot leave its thread.
    unsafe { &*key.with(std::ptr::from_ref) }
}
