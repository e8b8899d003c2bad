//! A logger whose lines outlive the process that wrote them.
//!
//! A log call writes a record into the process's own memory-mapped ring file, without a system call, and the record is safe the
//! moment the call returns, whatever kills the process next. A flusher, a thread of one of the processes or a daemon, drains
//! all rings of a folder into `<role>.log` files, in time order, exactly once.
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("lastwords-doc-lib-{}", std::process::id()));
//! # lastwords::builder("host").dir(&folder).init()?;
//! # if false {
//! lastwords::init("host")?;
//! # }
//! lastwords::info!("Host process starting up");
//! log::warn!("crates that log through the facade land in the ring too");
//! lastwords::flush()?;
//! let file = lastwords::folder().expect("initialised").join("host.log");
//! assert!(std::fs::read_to_string(file)?.contains("[INFO] Host process starting up"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Fields are typed, from the macros (`info!("…"; user = "ada")`) and from the facade's key-values:
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("lastwords-doc-kv-{}", std::process::id()));
//! # lastwords::builder("host").dir(&folder).init()?;
//! log::info!(user = "ada", attempts = 3; "logged in");
//! lastwords::flush()?;
//! assert!(std::fs::read_to_string(folder.join("host.log"))?.contains("logged in user=ada attempts=3"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the cargo feature `tracing`, `lastwords::tracing_layer()` records the events of `tracing`, with their spans.
//!
//! Limits: 64-bit little-endian Linux. Records before [`init`] are discarded. A message longer than 16 MiB is truncated and
//! marked.
//!
//! The package and the repository contain further documentation: `docs/settings.md` (every setting), `docs/operations.md`
//! (containers, daemons, users, the command), `docs/guarantees.md` (what survives what), `docs/python.md`, and `docs/design.md`
//! (rationale, and every byte of the format).

mod config;
mod front;
mod init;
mod logger;
mod process;
mod sys;

pub use config::builder::{Builder, builder};
pub use config::flusher_role::Flusher;
pub use front::call_site::record_bytes;
pub use front::event;
pub use front::handle::Log;
#[cfg(feature = "tracing")]
pub use front::tracing::{self, TracingLayer, tracing_layer};
#[cfg(feature = "tracing")]
pub use init::init_tracing;
pub use init::{init, init_from_env};
pub use lastwords_ring::error::{Error, Result};
pub use lastwords_ring::format::choice::ParseChoiceError;
pub use lastwords_ring::format::columns::{Columns, ParseColumnsError};
pub use lastwords_ring::format::compress::Compress;
pub use lastwords_ring::format::directives::{Directives, ParseDirectivesError};
pub use lastwords_ring::format::full_policy::FullPolicy;
pub use lastwords_ring::format::level::{Level, ParseLevelError};
pub use lastwords_ring::format::log_format::Format;
pub use lastwords_ring::format::rotate_every::RotateEvery;
pub use lastwords_ring::format::text_layout::TimeDigits;
pub use lastwords_ring::write::ring::Memory;
pub use logger::thread::name_thread;
pub use process::loggers::{
    close, fatal_signals_first, flush, flush_within, folder, name_level, reopen, set_log, sigbus_guard_first,
    watch_signals,
};

/// The flusher's threads of this process, around a fork, for runtimes that object to threads which they do not know.
#[cfg(feature = "flusher")]
pub mod flusher_threads {
    pub use crate::process::flusher_thread::{pause, resume, resume_with_next_record};
}

/// For the macros' code and the command `lastwords`; not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::config::builder::role_from_env;
    pub use crate::config::examined::{Examined, Idle, Requested, RustLog};
    pub use crate::front::call_site::{CallPlace, Site};
    pub use crate::front::enabled::{enabled, enabled_in};
    pub use lastwords_macros::record;
    pub use lastwords_ring::format::placeholder::Placeholder;
    pub use lastwords_ring::write::arguments::{Count, Given, Quoted, Text, ViaRaw, ViaText};
}
