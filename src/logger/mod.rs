//! The destination of a log call: the ring of a role in this process, and its lanes.

mod append;
pub(crate) mod bytes;
pub(crate) mod call_site_cache;
mod call_sites;
mod drained_ring;
pub(crate) mod flush_wait;
mod kept_level;
mod lane_pool;
mod lanes;
pub(crate) mod live_filter;
#[cfg(feature = "flusher")]
pub(crate) mod no_thread;
pub(crate) mod own_thread;
mod prefault;
pub(crate) mod record;
pub(crate) mod ring_logger;
pub(crate) mod site_entry;
pub(crate) mod thread;
mod truncated;
