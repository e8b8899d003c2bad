//! The page that a forked child finds wiped: all state that belongs to one process alone.
//!
//! Its loggers, its wake-up pipe, whether one of its threads is elected: a forked child must find none of it, and nothing may
//! depend on a lock that a thread of its parent held. The page is private anonymous memory with `MADV_WIPEONFORK`: a child
//! reads zeros, however it was forked, and so never touches what is the parent's. A child of vfork(2) shares its parent's
//! memory, and with it the page.

use crate::mutant::{self, Mutant};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// Number of values in the page itself: a logger for each folder and role, and singletons.
const VALUES_MAX: usize = 288;
/// Number of values in a further page, for loggers that are created after others were closed: no place is reused, because a
/// thread may be about to read it.
const VALUES_MORE: usize = 256;

/// A value's place, all zero before the first use and in a child.
#[repr(C)]
#[derive(Debug)]
struct Slot {
    value: AtomicPtr<()>,
    /// 0, or 1 while the value is being created, and after.
    making: AtomicU32,
}

/// The page's content.
#[repr(C)]
#[derive(Debug)]
pub struct ProcessPage {
    slots: [Slot; VALUES_MAX],
    /// 0 before it was requested.
    pid: AtomicU32,
    /// How many of this process's threads are elected, for as many folders.
    pub elected: AtomicU32,
    /// How many of its threads print on standard error.
    pub consoles: AtomicU32,
    /// 1 once they must print what is left, and end.
    pub consoles_end: AtomicU32,
    /// 1 once its main thread has panicked.
    pub main_panicked: AtomicU32,
}

static PAGE: AtomicPtr<ProcessPage> = AtomicPtr::new(ptr::null_mut());

/// A further page, which a forked child finds wiped as well.
#[derive(Debug)]
struct More {
    slots: &'static [Slot; VALUES_MORE],
    taken: AtomicUsize,
}

/// The newest of them; the ones before are full.
static MORE: AtomicPtr<More> = AtomicPtr::new(ptr::null_mut());

/// The page, created at the first use. None if there is no memory for it.
pub fn page() -> Option<&'static ProcessPage> {
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        let fresh = map_page(size_of::<ProcessPage>())?.cast::<ProcessPage>();
        page = match PAGE.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            // Another thread was first; the spare page costs one page, once per process.
            Err(theirs) => theirs,
        };
    }
    // SAFETY: the page is mapped, never unmapped, and an all-zero page is a valid ProcessPage.
    Some(unsafe { &*page })
}

/// This process's pid, cached.
pub fn pid() -> u32 {
    let Some(page) = page() else { return std::process::id() };
    match page.pid.load(Ordering::Relaxed) {
        0 => {
            let pid = std::process::id();
            page.pid.store(pid, Ordering::Relaxed);
            pid
        }
        pid => pid,
    }
}

/// Holds a value of this process, in a slot of the page that is taken at the first use.
#[derive(Debug)]
pub struct ProcessCell<T: 'static> {
    slot: AtomicPtr<Slot>,
    value: PhantomData<&'static T>,
}

impl<T: 'static + Sync> Default for ProcessCell<T> {
    fn default() -> Self {
        ProcessCell::new()
    }
}

impl<T: 'static + Sync> ProcessCell<T> {
    /// A cell without a value.
    pub const fn new() -> Self {
        ProcessCell { slot: AtomicPtr::new(ptr::null_mut()), value: PhantomData }
    }

    /// The value, if it has been set in this process.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        let slot = self.slot.load(Ordering::Acquire);
        // SAFETY: a stored slot is in the page, which is never unmapped, and zeros are a valid slot.
        let slot = unsafe { slot.as_ref() }?;
        // SAFETY: the pointer is null, or was made from a leaked box of a T by `set` of this cell, whose slot is not shared
        // with other cells, in this very process.
        unsafe { slot.value.load(Ordering::Acquire).cast::<T>().as_ref() }
    }

    /// Claims the right to create this process's value. False if another thread has it, or has created the value.
    pub fn begin(&self) -> bool {
        let Some(slot) = self.slot() else { return false };
        slot.making.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Sets the value, for the caller that was granted [`Self::begin`].
    pub fn set(&self, value: Box<T>) -> &'static T {
        let value: &'static T = Box::leak(value);
        if let Some(slot) = self.slot() {
            slot.value.store(ptr::from_ref(value).cast_mut().cast(), Ordering::Release);
        }
        value
    }

    /// Gives up the right of [`Self::begin`], because the value could not be created.
    pub fn cancel(&self) {
        if let Some(slot) = self.slot() {
            slot.making.store(0, Ordering::Release);
        }
    }

    /// Whether this is still the value: a caller that has announced its use before, by an atomic of its own, and gets true is
    /// seen by a thread that takes the value off and then checks for users.
    #[inline]
    pub fn holds(&self, value: &T) -> bool {
        let slot = self.slot.load(Ordering::Acquire);
        // SAFETY: as in `get`.
        let slot = unsafe { slot.as_ref() };
        slot.is_some_and(|slot| ptr::eq(slot.value.load(Ordering::SeqCst).cast::<T>(), value))
    }

    /// Takes the value off, and allows another one to be created. References that other threads have got stay valid.
    pub fn take(&self) -> Option<&'static T> {
        let slot = self.slot()?;
        // SAFETY: as in `get`.
        let value = unsafe { slot.value.swap(ptr::null_mut(), Ordering::SeqCst).cast::<T>().as_ref() }?;
        slot.making.store(0, Ordering::Release);
        Some(value)
    }

    /// Whether the value is being created.
    pub fn is_being_made(&self) -> bool {
        self.slot().is_some_and(|slot| slot.making.load(Ordering::Acquire) == 1) && self.get().is_none()
    }

    /// The cell's slot; None if there is no memory for one.
    fn slot(&self) -> Option<&'static Slot> {
        let known = self.slot.load(Ordering::Acquire);
        // SAFETY: as in `get`.
        if let Some(slot) = unsafe { known.as_ref() } {
            return Some(slot);
        }
        let fresh = fresh_slot()?;
        let pointer = ptr::from_ref(fresh).cast_mut();
        match self.slot.compare_exchange(ptr::null_mut(), pointer, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(fresh),
            // Another thread was first; the spare slot stays unused. SAFETY: as in `get`.
            Err(theirs) => unsafe { theirs.as_ref() },
        }
    }
}

/// A slot that was never used.
fn fresh_slot() -> Option<&'static Slot> {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let first = page()?.slots.get(TAKEN.fetch_add(1, Ordering::Relaxed).min(VALUES_MAX));
    if first.is_some() {
        return first;
    }
    loop {
        let newest = MORE.load(Ordering::Acquire);
        // SAFETY: null, or a leaked box.
        if let Some(more) = unsafe { newest.as_ref() }
            && let Some(slot) = more.slots.get(more.taken.fetch_add(1, Ordering::Relaxed).min(VALUES_MORE))
        {
            return Some(slot);
        }
        let slots = map_page(size_of::<[Slot; VALUES_MORE]>())?.cast::<[Slot; VALUES_MORE]>();
        // SAFETY: the page is mapped, never unmapped, and all-zero slots are valid.
        let more = Box::into_raw(Box::new(More { slots: unsafe { &*slots }, taken: AtomicUsize::new(0) }));
        // Another thread may have been first; the spare page is one page.
        let _ = MORE.compare_exchange(newest, more, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// Maps memory of this size that a forked child finds wiped.
fn map_page(size: usize) -> Option<*mut libc::c_void> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
    // SAFETY: an anonymous mapping at an address that the kernel chooses touches no existing memory, and the advice concerns
    // that mapping alone.
    unsafe {
        let page = mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE).ok()?;
        if !mutant::is(Mutant::NoWipeOnFork) {
            madvise(page, size, Advice::LinuxWipeOnFork).ok()?;
        }
        Some(page)
    }
}
