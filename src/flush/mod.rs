//! The flusher: drains all rings of a folder into its log files, in time order, exactly once.
//!
//! `embedded` and `flusher` decide who drains and when, `drain` does a pass, `journal` makes it redoable, `durable`
//! brings it to the disk where that is wished for, `logfile`, `rotation` and `output` hold a log file, `role` those of a
//! role, `spare` a descriptor for when there is none, `standstill` says why a process makes no pass and `vigil` when, `sites`, `levelnames`, `template`, `value`, `render` and `stamp` make lines of text, `zone` knows their offsets, `json` and `rfc3339` of JSON, `recover`
//! reads without changing anything.

pub mod blackbox;
pub mod cgroup;
pub mod drain;
pub mod election;
pub mod embedded;
pub mod ending;
pub mod flusher;
pub mod journal;
pub mod json;
pub mod levelnames;
pub mod liveness;
pub mod logfile;
pub mod recover;
pub mod render;
pub mod rfc3339;
pub mod rotation;
pub mod signal;
pub mod sites;
pub mod stamp;
pub mod standstill;
pub mod status;
pub mod stderr;
pub mod template;
pub mod value;
pub(crate) mod zone;

mod ahead;
mod append;
mod apply;
pub(crate) mod console;
mod durable;
pub(crate) mod fields;
mod follow;
mod lines;
mod lockfile;
mod losses;
mod memory;
mod output;
mod ringfile;
mod role;
mod spare;
mod trouble;
mod vigil;
mod witness;
