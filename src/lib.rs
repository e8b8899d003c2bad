//! A logger whose lines outlive the process that wrote them.
//!
//! A log call writes a record into the process's own memory-mapped ring file, without a system call, and is safe the
//! moment it returns, whatever kills the process next. A flusher, a thread of one of the processes or a daemon, drains
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
//! Limits: 64-bit little-endian Linux. Records before [`init`] go nowhere. A message longer than 16 MiB
//! is cut and marked. The design, with every byte of the format, is in `docs/design.md`.

pub mod checksum;
pub mod geometry;
pub mod lane;
pub mod layout;
pub mod level;
mod mutant;
pub mod sync;
mod words;

macro_rules! not_under_loom {
    ($($item:item)*) => { $(#[cfg(not(loom))] $item)* };
}

not_under_loom! {
    pub mod access;
    pub mod attachment;
    pub mod clock;
    pub mod doorbell;
    pub mod error;
    pub mod event;
    pub mod filter;
    pub mod folder;
    pub mod holder;
    pub mod kept_level;
    pub mod owner;
    pub mod process;
    pub mod reader;
    pub mod record;
    pub mod ring;
    pub mod segment;
    pub mod spill;
    pub mod table;
    pub mod template;

    #[cfg(feature = "flusher")]
    pub mod flush;
    #[cfg(feature = "tracing")]
    pub mod tracing;

    mod backlog;
    mod complain;
    mod config;
    #[cfg(feature = "config")]
    mod configfile;
    mod decode;
    mod directives;
    mod escaped;
    mod facade;
    mod field;
    mod format;
    mod full;
    mod kept;
    mod link;
    mod log;
    mod logger;
    mod macros;
    mod matched;
    mod missed;
    mod named;
    mod nameless;
    mod open;
    mod own_table;
    mod panic;
    mod registry;
    mod remembered;
    mod settings;
    mod site;
    mod snapshot;
    mod sys;
    mod thread;
    mod timeline;
    mod values;
    pub mod zone;

    pub use config::{Builder, Flusher, builder, init, init_from_env};
    pub use directives::{Directives, ParseDirectivesError};
    pub use error::{Error, Result};
    pub use escaped::{escaped, escaped_json, escaped_path};
    pub use format::Format;
    pub use full::FullPolicy;
    pub use level::Level;
    pub use log::Log;
    pub use ring::Memory;
    pub use registry::{close, flush, folder, name_level, reopen, set_log, sigbus_guard_first, watch_signals};
    pub use site::record_bytes;
    pub use thread::name_thread;
    #[cfg(feature = "tracing")]
    pub use tracing::{TracingLayer, init_tracing, tracing_layer};
    #[doc(hidden)]
    pub use config::role_from_env;
    #[doc(hidden)]
    pub use site::Site;

    /// What the macros' code needs; no part of the interface.
    #[doc(hidden)]
    pub mod __private {
        pub use crate::site::Place;
        pub use crate::template::Placeholder;
        pub use crate::values::{Count, Given, Quoted, Text, ViaRaw, ViaText};
        pub use lastwords_macros::record;
    }
}
