//! flexi_logger in the two write modes that its documentation names for heavy logging ("Choose the write mode", and
//! `WriteMode`): `Async` with its defaults, which sends lines through an unbounded channel, and `BufferAndFlush`, which
//! writes under a lock into a buffer that a thread flushes every second. The line is time, level and text; the shipped
//! formats either have no time or add file and line.

use super::facade;
use crate::peer::Peer;
use flexi_logger::{DeferredNow, FileSpec, Logger, LoggerHandle, WriteMode};
use std::io::{Result, Write};
use std::path::Path;

pub(crate) struct Async(LoggerHandle);

pub(crate) struct Buffered(LoggerHandle);

fn start(folder: &Path, mode: WriteMode) -> LoggerHandle {
    Logger::try_with_str("info")
        .expect("a level")
        .log_to_file(FileSpec::default().directory(folder).basename("bench").suppress_timestamp())
        .write_mode(mode)
        .use_utc()
        .format(line)
        .start()
        .expect("started")
}

fn line(writer: &mut dyn Write, now: &mut DeferredNow, record: &log::Record) -> Result<()> {
    write!(writer, "{} {} {}", now.now_utc_owned(), record.level(), record.args())
}

impl Peer for Async {
    const PACKAGE: &'static str = "flexi_logger";
    const MODE: &'static str = "asynchronous, unbounded";

    fn start(folder: &Path) -> Self {
        Async(start(folder, WriteMode::Async))
    }

    #[inline(always)]
    fn text(&self) {
        facade::text();
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        facade::frame(frame);
    }

    fn settle(&self) {
        self.0.flush();
    }

    fn finish(self) {
        self.0.shutdown();
    }
}

impl Peer for Buffered {
    const PACKAGE: &'static str = "flexi_logger";
    const MODE: &'static str = "synchronous, buffered, flushed every second";

    fn start(folder: &Path) -> Self {
        Buffered(start(folder, WriteMode::BufferAndFlush))
    }

    #[inline(always)]
    fn text(&self) {
        facade::text();
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        facade::frame(frame);
    }

    fn settle(&self) {
        self.0.flush();
    }

    fn finish(self) {
        self.0.shutdown();
    }
}
