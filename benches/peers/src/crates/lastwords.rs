//! lastwords as `init` makes it, but with enough rotated files kept that every line can be counted: ring files beside
//! the log, the flusher a thread of the process, a full ring waited for. Once by its own macro, once through `log`.

use crate::message::{DEVICE, ms};
use crate::peer::Peer;
use lastwords_flusher::flusher::{Election, Flusher};
use lastwords_ring::place::clock::realtime_ns;
use lastwords_ring::place::folder::Folder;
use std::io::{Error, Result};
use std::path::Path;

/// `lastwords::info!`.
pub(crate) struct Macro;

/// `log::info!` with lastwords behind it.
pub(crate) struct Facade;

fn start(folder: &Path) {
    lastwords::builder("bench").dir(folder).rotate_keep(100).init().expect("a ring");
}

fn flush() {
    lastwords::flush().expect("the flusher keeps up");
}

/// What `lastwords flush --once` does.
fn recover(folder: &Path) -> Result<()> {
    let folder = Folder::open(folder).map_err(Error::other)?;
    match Flusher::elect(&folder, realtime_ns()).map_err(Error::other)? {
        Election::Won(mut flusher) => flusher.drain_once().map(|_| ()).map_err(Error::other),
        Election::Lost(_) => Err(Error::other("another flusher runs in a folder whose process is dead")),
    }
}

impl Peer for Macro {
    const PACKAGE: &'static str = "lastwords";
    const MODE: &'static str = "ring file, blocking";

    fn start(folder: &Path) -> Self {
        start(folder);
        Macro
    }

    #[inline(always)]
    fn text(&self) {
        lastwords::info!("Host process starting up, all is in line");
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        lastwords::info!("frame {} took {} ms on {}", frame, ms(frame), DEVICE);
    }

    fn settle(&self) {
        flush();
    }

    fn finish(self) {
        flush();
    }

    fn recover(folder: &Path) -> Result<()> {
        recover(folder)
    }
}

impl Peer for Facade {
    const PACKAGE: &'static str = "lastwords";
    const MODE: &'static str = "ring file, blocking, through `log`";

    fn start(folder: &Path) -> Self {
        start(folder);
        Facade
    }

    fn settle(&self) {
        flush();
    }

    fn finish(self) {
        flush();
    }

    fn recover(folder: &Path) -> Result<()> {
        recover(folder)
    }
}
