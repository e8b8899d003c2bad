//! A program without the feature `zstd` compresses nothing, and says so once where a process asks for it.

use super::Drain;
use crate::files::notices;
use lastwords_ring::format::compress::Compress;
use std::time::Duration;

/// Whether it is logged.
#[derive(Debug, Default)]
pub(super) struct Compressor {
    logged: bool,
}

impl Drain {
    /// Logs that there may be files that stay as they are.
    pub(super) fn seek_to_compress(&mut self) {
        let is_asked_for = self.roles.iter().any(|role| role.compress != Compress::Never);
        if is_asked_for && !std::mem::replace(&mut self.compressor.logged, true) {
            self.notes.push(notices::CANNOT_COMPRESS.to_owned());
        }
    }

    /// Never.
    #[must_use]
    pub fn compresses_in(&self) -> Option<Duration> {
        None
    }

    /// Does nothing.
    pub fn compress(&self) {}
}
