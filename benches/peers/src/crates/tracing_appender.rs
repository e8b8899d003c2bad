//! tracing, formatted by tracing-subscriber, written by tracing-appender's non-blocking writer.
//!
//! `NonBlockingBuilder::lossy(false)` waits instead of dropping when the queue of 128,000 lines is full
//! (`tracing_appender::non_blocking`). No target and no colours, for less work. Twice: with a file of
//! `tracing_appender::rolling`, as the crate documentation sets it up, which costs the worker a system call per line; and
//! with a `BufWriter`, for which any writer will do ("`NonBlocking` … wrapping the provided `writer`") and which the worker
//! flushes after each batch that it found in the queue. That is faster and takes the worker ahead of one caller.

use crate::message::{DEVICE, ms};
use crate::peer::Peer;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

pub(crate) struct Rolling(WorkerGuard);

pub(crate) struct Buffered(WorkerGuard);

fn start(writer: impl Write + Send + 'static) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default().lossy(false).finish(writer);
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_target(false)
        .with_ansi(false)
        .with_writer(writer)
        .init();
    guard
}

#[inline(always)]
fn text() {
    tracing::info!("Host process starting up, all is in line");
}

#[inline(always)]
fn frame(frame: u64) {
    tracing::info!("frame {} took {} ms on {}", frame, ms(frame), DEVICE);
}

impl Peer for Rolling {
    const PACKAGE: &'static str = "tracing-appender";
    const MODE: &'static str = "asynchronous, blocking";

    fn start(folder: &Path) -> Self {
        Rolling(start(tracing_appender::rolling::never(folder, "bench.log")))
    }

    #[inline(always)]
    fn text(&self) {
        text();
    }

    #[inline(always)]
    fn frame(&self, number: u64) {
        frame(number);
    }

    fn finish(self) {
        drop(self.0);
    }
}

impl Peer for Buffered {
    const PACKAGE: &'static str = "tracing-appender";
    const MODE: &'static str = "asynchronous, blocking, a BufWriter behind it";

    fn start(folder: &Path) -> Self {
        Buffered(start(BufWriter::new(File::create(folder.join("bench.log")).expect("a file"))))
    }

    #[inline(always)]
    fn text(&self) {
        text();
    }

    #[inline(always)]
    fn frame(&self, number: u64) {
        frame(number);
    }

    fn finish(self) {
        drop(self.0);
    }
}
