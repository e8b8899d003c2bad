//! The ring files of lastwords: their bytes ([mod@format]), the places where they live ([`place`]), and both ends ([mod@write],
//! [`read`]).
//!
//! Part of the crate `lastwords`, which is the interface for programs; this crate makes no promises of its own. Each module
//! uses only those before it: `format` and `cpu`; `sys`; `place`; `read` and `write`.

pub mod arming;
pub mod atomics;
pub mod format;
pub mod mutant;
pub mod read;
pub mod write;

#[cfg(not(loom))]
pub mod cpu;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
pub mod place;
#[cfg(not(loom))]
pub mod sys;

#[cfg(all(test, not(loom)))]
#[path = "../../tests/src/scratch.rs"]
pub mod scratch;
