//! flexi_logger in the two write modes that its documentation names for heavy logging ("Choose the write mode", and
//! `WriteMode`): `Async` with its defaults, which sends lines through an unbounded channel, and `BufferAndFlush`, which
//! writes under a lock into a buffer that a thread flushes every second. The line is time, level and text; the shipped
//! formats either have no time or add file and line.

use crate::peer::Peer;
use flexi_logger::{DeferredNow, FileSpec, Logger, LoggerHandle, WriteMode};
use std::io::{Result, Write};
use std::path::Path;

pub(crate) struct FlexiLogger<const BUFFERED: bool>(LoggerHandle);

pub(crate) type Async = FlexiLogger<false>;

pub(crate) type Buffered = FlexiLogger<true>;

fn line(writer: &mut dyn Write, now: &mut DeferredNow, record: &log::Record) -> Result<()> {
    write!(writer, "{} {} {}", now.now_utc_owned(), record.level(), record.args())
}

impl<const BUFFERED: bool> Peer for FlexiLogger<BUFFERED> {
    const PACKAGE: &'static str = "flexi_logger";
    const MODE: &'static str =
        if BUFFERED { "synchronous, buffered, flushed every second" } else { "asynchronous, unbounded" };

    fn start(folder: &Path) -> Self {
        let logger = Logger::try_with_str("info")
            .expect("a level")
            .log_to_file(FileSpec::default().directory(folder).basename("bench").suppress_timestamp())
            .write_mode(if BUFFERED { WriteMode::BufferAndFlush } else { WriteMode::Async })
            .use_utc()
            .format(line);
        FlexiLogger(logger.start().expect("started"))
    }

    fn settle(&self) {
        self.0.flush();
    }

    fn finish(self) {
        self.0.shutdown();
    }
}
