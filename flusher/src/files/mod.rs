//! The files of the flusher: its journal, and the log files with their rotation.

#[cfg(feature = "zstd")]
pub mod archive;
#[cfg(feature = "zstd")]
pub mod frames;
pub mod journal;
pub mod line_layout;
pub mod log_file;
pub mod notices;
pub mod offsets;
pub mod output;
pub mod period;
pub mod redo;
pub mod retention;
pub mod role;
pub mod rotation;
pub mod shared_memory;
pub mod spare;
pub mod torn;
