//! All loggers of this process: their start and end, signals, and the threads that flush and print.

#[cfg(feature = "flusher")]
pub(crate) mod console_thread;
pub(crate) mod ends;
pub(crate) mod filter_changes;
#[cfg(feature = "flusher")]
pub(crate) mod flusher_thread;
pub(crate) mod level_names;
pub(crate) mod logger_cell;
pub(crate) mod loggers;
