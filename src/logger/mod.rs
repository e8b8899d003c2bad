//! What a log call writes to: the ring of a role in this process, and its lanes.

pub(crate) mod call_site_cache;
pub(crate) mod ring_logger;
pub(crate) mod thread;
