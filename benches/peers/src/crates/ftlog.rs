//! ftlog with what its README names for speed: the feature `tsc` ("higher performance"), a fixed time zone ("better
//! throughput"), the default bounded queue of 100,000 records (an unbounded one "can slow down" calls by growing), and
//! that queue blocking instead of discarding. Its file appender buffers.

use crate::peer::Peer;
use ftlog::appender::FileAppender;
use ftlog::{LevelFilter, LoggerGuard};
use std::path::Path;

const QUEUE: usize = 100_000;

pub(crate) struct Ftlog(LoggerGuard);

impl Peer for Ftlog {
    const PACKAGE: &'static str = "ftlog";
    const MODE: &'static str = "asynchronous, blocking, tsc clock";

    fn start(folder: &Path) -> Self {
        let guard = ftlog::builder()
            .max_log_level(LevelFilter::Info)
            .bounded(QUEUE, true)
            .utc()
            .root(FileAppender::builder().path(folder.join("bench.log")).build())
            .try_init();
        Ftlog(guard.expect("the first logger"))
    }

    fn settle(&self) {
        log::logger().flush();
    }

    fn finish(self) {
        drop(self.0);
    }
}
