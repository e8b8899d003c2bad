//! Passes that fail: since when, why, and the line that is logged once they work again.

use crate::files::notices;
use lastwords_ring::error::Error;
use std::time::Instant;

/// What keeps the log from being written, if anything does.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    since: Option<(Instant, String)>,
}

impl Failures {
    /// Something failed. The first error is kept: later ones tend to follow from it.
    pub(crate) fn note(&mut self, error: &Error) {
        self.since.get_or_insert_with(|| (Instant::now(), error.to_string()));
    }

    /// What to log about it, now that it is over.
    pub(crate) fn line(&self) -> Option<String> {
        self.since.as_ref().map(|(since, error)| notices::write_failed(since.elapsed(), error))
    }

    /// It is logged.
    pub(crate) fn set_logged(&mut self) {
        self.since = None;
    }
}
