//! The unsafe part: signal handlers and thread state.
//!
//! Nothing outside this folder contains `unsafe`.
#![allow(unsafe_code)]

pub(crate) mod action;
pub(crate) mod alternate_stack;
pub(crate) mod capture;
pub(crate) mod fatal;
pub(crate) mod frame;
pub(crate) mod local;
pub(crate) mod signals;
#[cfg(feature = "flusher")]
pub(crate) mod wake;
