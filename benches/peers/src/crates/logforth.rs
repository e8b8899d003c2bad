//! logforth through the `log` facade, with its asynchronous appender before its file appender, both as they are by
//! default: an unbounded channel and the plain layout, which writes the time as a number and so formats none
//! (`logforth::append::asynchronous`, `logforth::layout::PlainTextLayout`).

use crate::peer::Peer;
use logforth::append::asynchronous::AsyncBuilder;
use logforth::append::file::FileBuilder;
use logforth::record::{Level, LevelFilter};
use std::path::Path;

pub(crate) struct Logforth;

impl Peer for Logforth {
    const PACKAGE: &'static str = "logforth";
    const MODE: &'static str = "asynchronous, unbounded";

    fn start(folder: &Path) -> Self {
        let file = FileBuilder::new(folder, "bench").filename_suffix("log").build().expect("a file");
        let queue = AsyncBuilder::new("logforth").overflow_block().append(file).build();
        let info = LevelFilter::MoreSevereEqual(Level::Info);
        logforth::starter_log::builder().dispatch(|dispatch| dispatch.filter(info).append(queue)).apply();
        log::set_max_level(log::LevelFilter::Info);
        Logforth
    }

    fn settle(&self) {
        log::logger().flush();
    }

    fn finish(self) {
        log::logger().flush();
    }
}
