//! A list without a lock, which at a fork a thread of the parent might have held.

use crate::sys::hooks::leaked;
use std::iter;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Values that are never freed, because another thread may be reading them.
#[derive(Debug)]
pub struct LeakedList<T: 'static> {
    newest: AtomicPtr<Link<T>>,
}

#[derive(Debug)]
struct Link<T: 'static> {
    value: T,
    before: AtomicPtr<Link<T>>,
}

impl<T: Send + Sync> LeakedList<T> {
    /// An empty list.
    #[expect(clippy::new_without_default, reason = "it is for statics")]
    #[must_use]
    pub const fn new() -> LeakedList<T> {
        LeakedList { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Adds a value.
    pub fn add(&'static self, value: T) -> &'static T {
        let own: &'static Link<T> = Box::leak(Box::new(Link { value, before: AtomicPtr::default() }));
        let link = |before| {
            own.before.store(before, Ordering::Relaxed);
            Some(ptr::from_ref(own).cast_mut())
        };
        // Always succeeds in the end, because `link` never declines.
        let _ = self.newest.fetch_update(Ordering::AcqRel, Ordering::Acquire, link);
        &own.value
    }

    /// All values, the newest first.
    pub fn newest_first(&'static self) -> impl Iterator<Item = &'static T> {
        self.links().map(|link| &link.value)
    }

    /// Takes a value off the list. Threads that are reading it can still follow its link. Calls must be serialised.
    pub(crate) fn take_off(&'static self, gone: &'static T) {
        let Some(link) = self.links().find(|link| ptr::eq(&raw const link.value, gone)) else { return };
        let (own, next) = (ptr::from_ref(link).cast_mut(), link.before.load(Ordering::Acquire));
        if self.newest.compare_exchange(own, next, Ordering::AcqRel, Ordering::Acquire).is_err()
            && let Some(newer) = self.links().find(|newer| newer.before.load(Ordering::Acquire) == own)
        {
            newer.before.store(next, Ordering::Release);
        }
    }

    fn links(&'static self) -> impl Iterator<Item = &'static Link<T>> {
        iter::successors(leaked(&self.newest), |link| leaked(&link.before))
    }
}
