//! How a process ended, and the witnesses of that.

pub mod ending;
pub mod witness;
