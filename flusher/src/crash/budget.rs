//! What a report may take of the process that makes it: time, bytes that are read, files that are opened, and room for names.
//!
//! The files are those of a program that has just crashed, of any size, and the capture names as many as it likes. Each limit
//! alone would be multiplied by their number, so they are those of a report as a whole. Once one is reached, what was found stays,
//! and the report says that it is not complete.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a report takes at most, where nobody can end the process for it. Usually it is a few milliseconds.
const TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes that are read of files: unwind tables, and tables of symbols, of the largest programs that we know.
const BYTES_MAX: u64 = 512 << 20;
/// Files that are opened: a program has hundreds of libraries, but a stack leads through a few.
const FILES_MAX: usize = 512;
/// Bytes of names: a function with many that are inlined into it may be there again and again.
const NAMES_MAX: usize = 1 << 20;

/// What is used up of it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It took too long.
    Time,
    /// It read too much.
    Bytes,
    /// It opened too many files.
    Files,
    /// It found too many names.
    Names,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spent::Time => write!(f, "it took longer than {} s", TIME_MAX.as_secs()),
            Spent::Bytes => write!(f, "more than {} MiB of files would have to be read", BYTES_MAX >> 20),
            Spent::Files => write!(f, "more than {FILES_MAX} files would have to be opened"),
            Spent::Names => write!(f, "its names are longer than {} KiB", NAMES_MAX >> 10),
        }
    }
}

/// What is left of it. A clone is the same budget.
#[derive(Debug, Clone)]
pub struct Budget(Rc<Left>);

#[derive(Debug)]
struct Left {
    deadline: Option<Instant>,
    bytes: Cell<u64>,
    files: Cell<usize>,
    names: Cell<usize>,
    spent: Cell<Option<Spent>>,
}

impl Default for Budget {
    /// That of a report within a process that has other things to do.
    fn default() -> Budget {
        Budget::new(Some(TIME_MAX), BYTES_MAX)
    }
}

impl Budget {
    /// That of a process which is ended when it takes too long.
    #[must_use]
    pub fn of_process() -> Budget {
        Budget::new(None, u64::MAX)
    }

    pub(crate) fn new(time: Option<Duration>, bytes: u64) -> Budget {
        let deadline = time.map(|time| Instant::now() + time);
        let (bytes, files, names) = (Cell::new(bytes), Cell::new(FILES_MAX), Cell::new(NAMES_MAX));
        Budget(Rc::new(Left { deadline, bytes, files, names, spent: Cell::new(None) }))
    }

    /// Whether there is no time left. Loops that a file could make long ask every few hundred steps.
    pub(crate) fn is_over(&self) -> bool {
        let is_over = self.0.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_over {
            self.spend(Spent::Time);
        }
        is_over
    }

    /// Takes bytes that are to be read or unpacked. False if they are too many.
    pub(crate) fn read(&self, bytes: u64) -> bool {
        !self.is_over() && self.take(&self.0.bytes, self.0.bytes.get().checked_sub(bytes), Spent::Bytes)
    }

    /// Takes a file that is to be opened. False if there were too many.
    pub(crate) fn open(&self) -> bool {
        !self.is_over() && self.take(&self.0.files, self.0.files.get().checked_sub(1), Spent::Files)
    }

    /// Takes the room of a name. False if there is none.
    pub(crate) fn name(&self, bytes: usize) -> bool {
        self.take(&self.0.names, self.0.names.get().checked_sub(bytes), Spent::Names)
    }

    /// What was used up first, if anything was.
    #[must_use]
    pub fn spent(&self) -> Option<Spent> {
        self.0.spent.get()
    }

    fn take<T: Copy>(&self, from: &Cell<T>, left: Option<T>, what: Spent) -> bool {
        match left {
            Some(left) => from.set(left),
            None => self.spend(what),
        }
        left.is_some()
    }

    fn spend(&self, what: Spent) {
        self.0.spent.set(self.spent().or(Some(what)));
    }
}
