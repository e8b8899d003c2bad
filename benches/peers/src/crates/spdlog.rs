//! spdlog-rs by its own macros, which its documentation prefers to the `log` facade, with the formatter that it has by
//! default, which keeps the last second's text. Once with `FileSink` alone, which buffers under a lock, and once with
//! `AsyncPoolSink` before it, whose queue of 8,192 records blocks by default (`spdlog::sink::AsyncPoolSink`).

use crate::message::{DEVICE, ms};
use crate::peer::Peer;
use spdlog::sink::{AsyncPoolSink, FileSink, Sink};
use spdlog::{LevelFilter, Logger, ThreadPool};
use std::path::Path;
use std::sync::Arc;

/// The pool is the sink's own, so that dropping it joins its thread.
pub(crate) struct Async {
    logger: Logger,
    pool: Arc<ThreadPool>,
}

pub(crate) struct Sync(Logger);

fn file(folder: &Path) -> Arc<dyn Sink> {
    FileSink::builder().path(folder.join("bench.log")).truncate(true).build_arc().expect("a file")
}

fn logger(sink: Arc<dyn Sink>) -> Logger {
    Logger::builder()
        .sink(sink)
        .level_filter(LevelFilter::MoreSevereEqual(spdlog::Level::Info))
        .build()
        .expect("a logger")
}

impl Peer for Async {
    const PACKAGE: &'static str = "spdlog-rs";
    const MODE: &'static str = "asynchronous, blocking";

    fn start(folder: &Path) -> Self {
        let pool = ThreadPool::builder().build_arc().expect("a thread");
        let sink = AsyncPoolSink::builder().sink(file(folder)).thread_pool(Arc::clone(&pool)).build_arc();
        Async { logger: logger(sink.expect("a sink")), pool }
    }

    #[inline(always)]
    fn text(&self) {
        spdlog::info!(logger: self.logger, "Host process starting up, all is in line");
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        spdlog::info!(logger: self.logger, "frame {} took {} ms on {}", frame, ms(frame), DEVICE);
    }

    fn settle(&self) {
        self.logger.flush();
    }

    fn finish(self) {
        drop(self.logger);
        drop(self.pool);
    }
}

impl Peer for Sync {
    const PACKAGE: &'static str = "spdlog-rs";
    const MODE: &'static str = "synchronous, buffered";

    fn start(folder: &Path) -> Self {
        Sync(logger(file(folder)))
    }

    #[inline(always)]
    fn text(&self) {
        spdlog::info!(logger: self.0, "Host process starting up, all is in line");
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        spdlog::info!(logger: self.0, "frame {} took {} ms on {}", frame, ms(frame), DEVICE);
    }

    fn settle(&self) {
        self.0.flush();
    }

    fn finish(self) {
        self.0.flush();
    }
}
