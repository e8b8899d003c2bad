//! Settings: the builder, the environment, the configuration file.

pub(crate) mod builder;
#[cfg(feature = "config")]
pub(crate) mod file;
pub(crate) mod settings;
