//! A descriptor in reserve, for when there are none left.
//!
//! A flusher is mostly a thread of some program, whose limit of open files it shares. Lock, doorbell, journal, the current log
//! files and the first rings stay open, so that nothing needs a new descriptor to go on. What does, a folder listing, a ring
//! whose file is opened in turn, a crash file, releases this one first and takes it again afterwards. If another thread is
//! faster in between, it is retried like any other transient failure.

use lastwords_ring::error::{Error, Result, lacks_descriptors};
use lastwords_ring::place::descriptor::Kept;
use lastwords_ring::place::open;
use std::cell::RefCell;

/// The descriptor, if there was one.
#[derive(Debug)]
pub(crate) struct Spare {
    file: RefCell<Option<Kept>>,
}

impl Spare {
    pub(crate) fn new() -> Spare {
        Spare { file: RefCell::new(open()) }
    }

    /// Does something that may need one descriptor more than there are.
    pub(crate) fn use_for<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        let first = work();
        let lacking = matches!(&first, Err(Error::Io { source, .. }) if lacks_descriptors(source));
        if !lacking || !self.give() {
            self.renew();
            return first;
        }
        let second = work();
        self.renew();
        second
    }

    /// Releases the descriptor; false if it is not held.
    pub(crate) fn give(&self) -> bool {
        self.file.borrow_mut().take().is_some()
    }

    /// Takes the descriptor again, where it was given away and what needed it is done.
    pub(crate) fn renew(&self) {
        let mut file = self.file.borrow_mut();
        if file.is_none() {
            *file = open();
        }
    }
}

fn open() -> Option<Kept> {
    open::low().ok().map(Kept::at_its_number)
}
