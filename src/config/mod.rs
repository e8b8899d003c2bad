//! Settings: the builder, the environment, the configuration file.

pub(crate) mod builder;
pub(crate) mod defaults;
pub(crate) mod examined;
#[cfg(feature = "config")]
pub(crate) mod file;
pub(crate) mod flusher_role;
mod ring_spec;
pub(crate) mod rust_log;
pub(crate) mod settings;
