//! ticklog: binary records in a 1 MiB buffer per thread, formatted by a thread that spins.
//!
//! It has one configuration. `Backpressure::Block` differs from the default only when a buffer is full, and then loses
//! nothing; `warm_up` is called as its README asks ("Configuration" and "Threads" there). It offers no flush: its thread
//! writes when it runs idle and when the guard is dropped.

use crate::message::{DEVICE, ms};
use crate::peer::Peer;
use std::path::Path;
use ticklog::{Backpressure, FileSink, Guard, Level};

// `configure!` defines these two for the file that it is in, after itself; the calls below come before it.
macro_rules! __ticklog_max_level {
    () => {
        Level::Info
    };
}
macro_rules! __ticklog_backpressure {
    () => {
        Backpressure::Block
    };
}

pub(crate) struct Ticklog(Guard);

impl Peer for Ticklog {
    const PACKAGE: &'static str = "ticklog";
    const MODE: &'static str = "asynchronous, blocking, spinning backend";

    fn start(folder: &Path) -> Self {
        let guard = ticklog::configure! {
            sink: FileSink::truncate(folder.join("bench.log")).expect("a file"),
            max_level: Level::Info,
            backpressure: Backpressure::Block,
            format: "{timestamp} {level} {message}",
        };
        Ticklog(guard.expect("configured"))
    }

    #[inline(always)]
    fn text(&self) {
        ticklog::info!("Host process starting up, all is in line");
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        ticklog::info!("frame {} took {} ms on {}", frame, ms(frame), DEVICE);
    }

    fn warm_up(&self) {
        ticklog::warm_up().expect("configured");
    }

    fn finish(self) {
        drop(self.0);
    }
}
