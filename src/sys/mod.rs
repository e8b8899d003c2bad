//! The unsafe part: mapped memory, the time-stamp counter, and what only the C library can do.
//!
//! Nothing outside this folder contains `unsafe`.
#![allow(unsafe_code)]

pub(crate) mod fatal;
pub(crate) mod futex;
pub(crate) mod guard;
pub(crate) mod held;
pub(crate) mod hooks;
pub(crate) mod local;
pub(crate) mod map;
pub(crate) mod prefetch;
pub(crate) mod process_page;
pub(crate) mod signals;
pub(crate) mod tsc;
#[cfg(feature = "flusher")]
pub(crate) mod wake;
pub(crate) mod words;
