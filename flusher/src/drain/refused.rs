//! Files in the rings folder that cannot be opened.

use super::Drain;
use crate::files::notices;
use lastwords_ring::error::Error;
use std::time::{Duration, Instant};

/// A transient reason is logged once it has lasted this long: a process without a free descriptor has one again soon, and its
/// log would name rings whose records are in it.
const LOG_AFTER: Duration = Duration::from_secs(5);

/// A file that could not be opened as a ring.
#[derive(Debug)]
pub(super) struct Refused {
    name: String,
    since: Instant,
    logged: bool,
}

impl Drain {
    /// Logs once why a ring is skipped. It is retried whenever the folder is scanned.
    pub(super) fn refuse(&mut self, name: String, error: &Error) {
        let now = Instant::now();
        let number = self.refused.iter().position(|refused| refused.name == name).unwrap_or_else(|| {
            self.refused.push(Refused { name, since: now, logged: false });
            self.refused.len() - 1
        });
        let refused = &mut self.refused[number];
        let is_due = !error.may_pass() || now.saturating_duration_since(refused.since) >= LOG_AFTER;
        if is_due && !refused.logged {
            refused.logged = true;
            self.note(notices::refused(error));
        }
    }

    /// The ring works again: if nothing was logged so far, there is nothing to log.
    pub(super) fn accept(&mut self, name: &str) {
        self.refused.retain(|refused| refused.logged || refused.name != name);
    }
}
