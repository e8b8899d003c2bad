//! From a capture, what a process noted in the handler of a fatal signal, to words and frames.
//!
//! [`cause`] puts the signal into words. [`unwind`] walks the stack, by the unwind tables of the program's files, which
//! [`modules`] opens and `elf` reads; [`symbols`] names what it finds, in a process of its own ([`worker`]) what needs debug
//! information. [`report`] is the result, [`text`] and [`json`] show it.

pub mod cause;
mod cfi;
mod elf;
pub mod frame;
pub mod json;
pub mod loaded;
pub mod modules;
mod registers;
pub mod report;
pub mod symbols;
pub mod text;
pub mod unwind;
pub mod worker;
