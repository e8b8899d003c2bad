//! The end of a ring that the flusher and the tools read.

pub mod decoder;
pub mod liveness;
pub mod progress;
pub mod reader;
pub mod ring_file;
pub mod snapshot;
