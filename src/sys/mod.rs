//! The unsafe part: mapped memory, the time-stamp counter, and what only the C library can do.
//!
//! Nothing outside this folder contains `unsafe`.
#![allow(unsafe_code)]

pub(crate) mod action;
#[cfg(feature = "flusher")]
pub(crate) mod ancestors;
pub(crate) mod fatal;
pub(crate) mod frame;
pub(crate) mod fsize;
pub(crate) mod futex;
pub(crate) mod guard;
pub(crate) mod held;
pub(crate) mod hooks;
pub(crate) mod local;
pub(crate) mod map;
pub(crate) mod numbers;
#[cfg(feature = "flusher")]
pub(crate) mod pidfd;
pub(crate) mod prefetch;
pub(crate) mod process_page;
pub(crate) mod signals;
pub(crate) mod thread_lock;
pub(crate) mod tsc;
pub(crate) mod user;
#[cfg(feature = "flusher")]
pub(crate) mod wake;
pub(crate) mod words;
