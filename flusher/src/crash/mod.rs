//! From a capture, what a process noted in the handler of a fatal signal, to words and frames.
//!
//! `cause` puts the signal into words. `unwind` walks the stack, by the unwind tables of the program's files, which `modules`
//! opens and `elf` reads; `symbols` names what it finds, in a process of its own (`worker`) what needs debug information.
//! `report` is the result, `text` and `json` show it, `read_back` finds it in a crash file, of Python's interpreter what `fold` leaves; `traceback` has what that itself
//! said. All of that is there with the feature `stacks`. [`told`] is what logs and
//! crash files are given: nothing without it.

#[cfg(feature = "stacks")]
pub mod cause;
#[cfg(feature = "stacks")]
mod cfi;
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
mod symbol_json;
#[cfg(feature = "stacks")]
pub mod symbols;
#[cfg(feature = "stacks")]
pub mod text;
pub mod told;
#[cfg(feature = "stacks")]
mod traceback;
#[cfg(feature = "stacks")]
pub mod unwind;
#[cfg(feature = "stacks")]
pub mod worker;
