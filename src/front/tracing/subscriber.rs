//! The program's `tracing` subscriber, if lastwords installs it.

use crate::front::tracing::layer::tracing_layer;
use lastwords_ring::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_core::dispatcher::{self, Dispatch};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

/// The program's subscriber is ours.
static SUBSCRIBED: AtomicBool = AtomicBool::new(false);

/// Whether the program's subscriber is the one of [`subscribe`].
pub(crate) fn is_subscribed() -> bool {
    SUBSCRIBED.load(Ordering::Acquire)
}

/// An error if the program has a subscriber that is not ours.
pub(crate) fn refuse_other_subscriber() -> Result<()> {
    if dispatcher::has_been_set() && !is_subscribed() { Err(Error::SubscriberTaken) } else { Ok(()) }
}

/// Installs a subscriber with the layer of lastwords and nothing else, once.
pub(crate) fn subscribe() -> Result<()> {
    // Before the subscriber is set, for another thread that does the same and finds it.
    if SUBSCRIBED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let subscriber = Registry::default().with(tracing_layer());
    dispatcher::set_global_default(Dispatch::new(subscriber)).map_err(|_| {
        SUBSCRIBED.store(false, Ordering::Release);
        Error::SubscriberTaken
    })
}
