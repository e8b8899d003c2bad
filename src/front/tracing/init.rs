//! `tracing` in one call.

use crate::config::builder::Builder;
use crate::front::tracing::layer::tracing_layer;
use lastwords_ring::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_core::dispatcher::{self, Dispatch};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

/// Starts to log as `role` with the defaults, and takes the events of `tracing` and the records of the `log` facade.
///
/// ```no_run
/// fn main() -> Result<(), lastwords::Error> {
///     lastwords::init_tracing("web")?;
///     tracing::info!(port = 8080, "listening");
///     Ok(())
/// }
/// ```
///
/// # Errors
/// As [`Builder::init_tracing`].
pub fn init_tracing(role: &str) -> Result<()> {
    Builder::new(role).init_tracing()
}

impl Builder {
    /// [`Builder::init`], with a subscriber of `tracing` that has [`crate::tracing_layer`] and nothing else. Who wants other
    /// layers as well calls `init` and makes the subscriber:
    ///
    /// ```no_run
    /// use tracing_subscriber::prelude::*;
    /// // With its default features, `init` of tracing-subscriber takes the `log` facade.
    /// lastwords::builder("web").log_facade(false).init()?;
    /// # #[cfg(any())]
    /// tracing_subscriber::registry().with(lastwords::tracing_layer()).with(tracing_subscriber::fmt::layer()).init();
    /// # Ok::<(), lastwords::Error>(())
    /// ```
    ///
    /// As with [`Builder::init`], a second call with the same settings does nothing.
    ///
    /// # Errors
    /// [`Error::Setting`] if the program has a subscriber already; else as [`Builder::init`].
    pub fn init_tracing(self) -> Result<()> {
        let taken = || {
            let why = "a subscriber is installed already; add lastwords::tracing_layer() to it, and call init instead of init_tracing";
            Error::setting("tracing", why)
        };
        if dispatcher::has_been_set() && !is_subscribed() {
            return Err(taken());
        }
        self.init()?;
        // Before the subscriber is there, for another thread that does the same and finds it.
        if SUBSCRIBED.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let subscriber = Registry::default().with(tracing_layer());
        dispatcher::set_global_default(Dispatch::new(subscriber)).map_err(|_| {
            SUBSCRIBED.store(false, Ordering::Release);
            taken()
        })
    }
}

/// The program's subscriber is ours.
static SUBSCRIBED: AtomicBool = AtomicBool::new(false);

/// Whether the program's subscriber is the one of [`init_tracing`].
pub(crate) fn is_subscribed() -> bool {
    SUBSCRIBED.load(Ordering::Acquire)
}
