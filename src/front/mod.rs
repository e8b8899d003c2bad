//! The interface for programs.

pub(crate) mod call_site;
pub(crate) mod enabled;
pub mod event;
pub(crate) mod handle;
pub(crate) mod log_facade;
mod macros;
pub(crate) mod panic;
#[cfg(feature = "tracing")]
pub mod tracing;
