//! From a capture, what a process noted in the handler of a fatal signal, to words and frames.
//!
//! `cause` puts the signal into words. `unwind` walks the stack, by the unwind tables of the program's files, which `modules`
//! opens and `elf` reads; `symbols` names what it finds, all within a `budget`. `report` is the result, `text` and `json` show it,
//! of Python's interpreter what `fold` leaves; `read_back` finds it in a crash file, and `traceback` has what Python itself said. A
//! `worker` is a process that does all of this for a flusher: `request` is what goes between the two, `answer` what it does. All
//! of that is there with the feature `stacks`. [`told`] is what logs and crash files are given, by a [`teller`]: nothing without it.

#[cfg(feature = "stacks")]
pub mod answer;
#[cfg(feature = "stacks")]
pub mod budget;
#[cfg(feature = "stacks")]
pub mod cause;
#[cfg(feature = "stacks")]
mod cfi;
#[cfg(feature = "stacks")]
mod death;
#[cfg(feature = "stacks")]
mod elf;
#[cfg(feature = "stacks")]
mod fold;
#[cfg(feature = "stacks")]
pub mod frame;
#[cfg(all(test, feature = "stacks"))]
mod hostile;
#[cfg(feature = "stacks")]
pub mod json;
#[cfg(feature = "stacks")]
pub mod loaded;
#[cfg(feature = "stacks")]
pub mod modules;
#[cfg(feature = "stacks")]
pub mod read_back;
#[cfg(feature = "stacks")]
mod registers;
#[cfg(feature = "stacks")]
pub mod report;
#[cfg(feature = "stacks")]
mod request;
#[cfg(feature = "stacks")]
pub mod symbols;
pub mod teller;
#[cfg(feature = "stacks")]
pub mod text;
pub mod told;
#[cfg(feature = "stacks")]
mod traceback;
#[cfg(feature = "stacks")]
pub mod unwind;
#[cfg(feature = "stacks")]
mod worker;
