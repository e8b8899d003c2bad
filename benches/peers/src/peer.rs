//! What a logger must do to take part: one small trait, and jobs that run on any of its implementors.
//!
//! The measuring code is generic over [`Peer`], so that each crate's macro is compiled into the measured loop as it
//! would be into a user's: a call through a table would cost as much as the cheapest of them.

use crate::message::{DEVICE, ms};
use std::io::Result;
use std::path::Path;

/// A logger that is started once in a process.
pub(crate) trait Peer: Sized + Sync {
    /// The package whose version the table shows; empty for what has none.
    const PACKAGE: &'static str;
    /// How it is configured, and what it does when its queue is full.
    const MODE: &'static str;

    /// Starts it; its log files are to be in `folder`, which is there and empty.
    fn start(folder: &Path) -> Self;

    /// Logs the 40-byte static text, through the `log` facade where the crate has no macros of its own.
    #[inline(always)]
    fn text(&self) {
        log::info!("Host process starting up, all is in line");
    }

    /// Logs the text with three arguments, likewise.
    #[inline(always)]
    fn frame(&self, frame: u64) {
        log::info!("frame {} took {} ms on {}", frame, ms(frame), DEVICE);
    }

    /// What a thread does before its first call, where the crate asks for it.
    fn warm_up(&self) {}

    /// Empties the queue, where the crate offers that. The caller also waits until the files are quiet.
    fn settle(&self) {}

    /// Returns when the last line is in its file.
    fn finish(self);

    /// What is done in a folder whose process was killed before its lines are counted.
    fn recover(_folder: &Path) -> Result<()> {
        Ok(())
    }
}

/// Something that is done with a peer whose name is known at run time only.
pub(crate) trait Job {
    /// What it results in.
    type Output;

    /// Does it with `P`.
    fn run<P: Peer>(self) -> Self::Output;
}
