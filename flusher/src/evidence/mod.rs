//! How a process ended, the witnesses of that, and what was seen of it before.
//!
//! A status from the kernel is a proof ([`ending`], [`witness`]). All else is evidence, and is called so: what `/proc` showed of the
//! process while it lived (`usage`), and the memory of its cgroup (`mounts`, `memory`), both noted by `last_seen`. `clues` puts it into words.

pub(crate) mod clues;
pub mod ending;
pub(crate) mod last_seen;
mod memory;
mod mounts;
mod usage;
pub mod witness;
