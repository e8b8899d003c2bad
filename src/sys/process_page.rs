//! A page that a forked child finds wiped: what the process knows about its own logger.
//!
//! The page is private anonymous memory with `MADV_WIPEONFORK`. A child reads zero where the parent had put a
//! pointer, however it was forked, and so never touches the parent's ring.

use crate::mutant::{self, Mutant};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The page's content; all zero before the first use and in a child.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ProcessPage<T> {
    value: AtomicPtr<T>,
    /// 0, or 1 while somebody makes the value.
    making: AtomicU32,
}

/// Holds the page, made at the first use.
#[derive(Debug)]
pub(crate) struct ProcessPageCell<T: 'static> {
    page: AtomicPtr<ProcessPage<T>>,
}

impl<T: 'static + Sync> ProcessPageCell<T> {
    pub(crate) const fn new() -> Self {
        ProcessPageCell { page: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The value of this process, if it has been set in this process.
    #[inline]
    pub(crate) fn get(&self) -> Option<&'static T> {
        let page = self.page.load(Ordering::Acquire);
        // SAFETY: a page that was stored is never unmapped, and an all-zero page is a valid ProcessPage.
        let page = unsafe { page.as_ref() }?;
        // SAFETY: the pointer is null, or was made from a leaked box by `set` in this very process.
        unsafe { page.value.load(Ordering::Acquire).as_ref() }
    }

    /// Claims the right to make this process's value. False if somebody else has it, or has made it.
    pub(crate) fn begin(&self) -> bool {
        let Some(page) = self.page() else { return false };
        page.making.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Sets the value, for the one that was granted [`Self::begin`].
    pub(crate) fn set(&self, value: Box<T>) -> &'static T {
        let value: &'static T = Box::leak(value);
        if let Some(page) = self.page() {
            page.value.store(ptr::from_ref(value).cast_mut(), Ordering::Release);
        }
        value
    }

    /// Gives the right of [`Self::begin`] back, because the value could not be made.
    pub(crate) fn cancel(&self) {
        if let Some(page) = self.page() {
            page.making.store(0, Ordering::Release);
        }
    }

    fn page(&self) -> Option<&'static ProcessPage<T>> {
        let mut page = self.page.load(Ordering::Acquire);
        if page.is_null() {
            let fresh = map_page()?.cast::<ProcessPage<T>>();
            page = match self.page.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => fresh,
                // Another thread was first; the spare page is one page once in a process's life.
                Err(theirs) => theirs,
            };
        }
        // SAFETY: the page is mapped, never unmapped, and an all-zero page is a valid ProcessPage.
        Some(unsafe { &*page })
    }
}

fn map_page() -> Option<*mut libc::c_void> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
    let size = crate::layout::PAGE as usize;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory, and the advice
    // concerns that mapping alone.
    unsafe {
        let page = mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE).ok()?;
        if !mutant::is(Mutant::NoWipeOnFork) {
            madvise(page, size, Advice::LinuxWipeOnFork).ok()?;
        }
        Some(page)
    }
}
