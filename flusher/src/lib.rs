//! The flusher: drains all rings of a folder into its log files, in time order, exactly once.
//!
//! A part of the crate `lastwords`, without promises of its own. [`election`] and [`flusher`] decide who drains and when,
//! [`drain`] does a pass, [`files`] makes it redoable and holds the log files, [`render`] makes lines, [`recover`] reads
//! without changing anything, and [`crash`] tells from a capture where a process died.

pub mod console;
pub mod crash;
pub mod drain;
pub mod election;
pub mod evidence;
pub mod files;
pub mod flusher;
pub mod lock_file;
pub mod merge;
pub mod recover;
pub mod render;
pub mod ring_clock;
pub mod standstill;
pub mod vigil;

#[cfg(test)]
#[path = "../../tests/src/scratch.rs"]
pub mod scratch;
