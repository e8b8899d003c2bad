//! How a process ended, and who has seen it.

pub mod ending;
pub mod witness;
