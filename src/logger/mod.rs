//! What a log call writes to: the ring of a role in this process, and its lanes.

pub(crate) mod bytes;
pub(crate) mod call_site_cache;
#[cfg(feature = "flusher")]
pub(crate) mod no_thread;
pub(crate) mod own_thread;
pub(crate) mod ring_logger;
pub(crate) mod thread;
