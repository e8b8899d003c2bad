//! slog with slog-async before slog-term, as the crate documentation of slog-async combines them, with
//! `OverflowStrategy::Block` and a channel of 65,536 records instead of 128 (`AsyncBuilder::chan_size`), which fills at
//! once. slog-term flushes after each record, so a `BufWriter` makes that one `write(2)` per line; UTC is the cheaper of
//! its time stamps.

use crate::message::{DEVICE, ms};
use crate::peer::Peer;
use slog::{Drain, Logger};
use slog_async::{Async, AsyncGuard, OverflowStrategy};
use slog_term::{FullFormat, PlainDecorator};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

const CHANNEL: usize = 65_536;

pub(crate) struct SlogAsync {
    logger: Logger,
    guard: AsyncGuard,
}

impl Peer for SlogAsync {
    const PACKAGE: &'static str = "slog-async";
    const MODE: &'static str = "asynchronous, blocking";

    fn start(folder: &Path) -> Self {
        let file = File::create(folder.join("bench.log")).expect("a file");
        let lines = FullFormat::new(PlainDecorator::new(BufWriter::new(file))).use_utc_timestamp().build().fuse();
        let (queue, guard) =
            Async::new(lines).chan_size(CHANNEL).overflow_strategy(OverflowStrategy::Block).build_with_guard();
        SlogAsync { logger: Logger::root(queue.fuse(), slog::o!()), guard }
    }

    #[inline(always)]
    fn text(&self) {
        slog::info!(self.logger, "Host process starting up, all is in line");
    }

    #[inline(always)]
    fn frame(&self, frame: u64) {
        slog::info!(self.logger, "frame {} took {} ms on {}", frame, ms(frame), DEVICE);
    }

    fn finish(self) {
        drop(self.guard);
    }
}
