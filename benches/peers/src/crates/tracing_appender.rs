//! tracing, formatted by tracing-subscriber, written by tracing-appender's non-blocking writer.
//!
//! `NonBlockingBuilder::lossy(false)` waits instead of dropping when the queue of 128,000 lines is full
//! (tracing_appender::non_blocking). The worker writes line by line and flushes after each batch that it found in the
//! queue, so the file stands behind a `BufWriter`, which the module's documentation allows ("any type that implements
//! `Write`"): a plain file would cost the worker a system call per line. No target and no colours, for less work.

use crate::message::{DEVICE, ms};
use crate::peer::Peer;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

pub(crate) struct TracingAppender(WorkerGuard);

impl Peer for TracingAppender {
    const PACKAGE: &'static str = "tracing-appender";
    const MODE: &'static str = "asynchronous, blocking, BufWriter";

    fn start(folder: &Path) -> Self {
        let file = File::create(folder.join("bench.log")).expect("a file");
        let (writer, guard) = NonBlockingBuilder::default().lossy(false).finish(BufWriter::new(file));
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_target(false)
            .with_ansi(false)
            .with_writer(writer)
            .init();
        TracingAppender(guard)
    }

    #[inline(always)]
    fn text(&self) {
        tracing::info!("Host process starting up, all is in line");
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        tracing::info!("frame {} took {} ms on {}", frame, ms(frame), DEVICE);
    }

    fn finish(self) {
        drop(self.0);
    }
}
