//! A descriptor that is held for the moment in which there is none to be had.
//!
//! A flusher is mostly a thread of some program, whose limit of open files it shares. Lock, doorbell, journal, the current
//! log files and the first rings stay open, so that nothing needs a new descriptor to go on. What does, the list of the
//! folder, a ring whose file is opened in turn, a crash file, gives this one back first and takes it again afterwards. Where
//! another thread is faster in between, it has to wait like any other error that passes.

use lastwords_ring::error::{Error, Result, lacks_descriptors};
use lastwords_ring::place::descriptor::Kept;
use lastwords_ring::place::open;
use std::cell::RefCell;

/// The descriptor, where it could be had.
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

    /// Gives the descriptor away; false if it is not there.
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
