//! A logger's ring, and access to the flusher that drains it.

#[cfg(feature = "flusher")]
use crate::logger::no_thread;
use lastwords_ring::arming;
use lastwords_ring::atomics::Ordering;
use lastwords_ring::format::layout::Control;
use lastwords_ring::place::doorbell::Doorbell;
use lastwords_ring::place::lock_holder::HolderView;
use lastwords_ring::write::ring::Ring;
use std::sync::atomic::AtomicBool;

/// A ring with the doorbell and lock of its folder.
#[derive(Debug)]
pub(crate) struct DrainedRing {
    pub(crate) ring: Ring,
    pub(crate) control: &'static Control,
    pub(crate) doorbell: Doorbell,
    /// The folder's flusher.
    pub(crate) holder: HolderView,
    /// Whether this process may flush it itself.
    pub(crate) flushes: bool,
    /// Set once records are not accepted any more.
    closed: AtomicBool,
}

impl DrainedRing {
    pub(crate) fn new(ring: Ring, doorbell: Doorbell, holder: HolderView, flushes: bool) -> DrainedRing {
        DrainedRing { control: ring.control(), ring, doorbell, holder, flushes, closed: AtomicBool::new(false) }
    }

    /// Whether the logger was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Releases the ring: from here on nothing is recorded.
    pub(crate) fn leave(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.ring.leave();
        self.doorbell.ring();
    }

    /// Wakes the flusher if it sleeps.
    pub(crate) fn ring_if_armed(&self) {
        if arming::take_request(&self.control.armed) {
            self.doorbell.ring();
        }
    }

    /// Whether there is no flusher.
    pub(crate) fn is_alone(&self) -> bool {
        !self.flushes && !self.holder.may_live()
    }
}

/// If no flusher thread could be started, there may be one now; and it may have left lines to be printed.
pub(crate) fn look_for_thread() {
    #[cfg(feature = "flusher")]
    {
        no_thread::try_again();
        lastwords_ring::place::stderr::print_pending();
    }
}
