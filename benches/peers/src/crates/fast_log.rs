//! fast_log with its file appender and a channel of 100,000 records that is allocated beforehand, as its README says under
//! "Performance optimization(important)". A caller that finds the channel full waits.

use crate::peer::Peer;
use fast_log::Config;
use log::LevelFilter;
use std::path::Path;

const CHANNEL: usize = 100_000;

pub(crate) struct FastLog;

impl Peer for FastLog {
    const PACKAGE: &'static str = "fast_log";
    const MODE: &'static str = "asynchronous, blocking";

    fn start(folder: &Path) -> Self {
        let path = folder.join("bench.log");
        let path = path.to_str().expect("a path in UTF-8");
        fast_log::init(Config::new().level(LevelFilter::Info).file(path).chan_len(Some(CHANNEL))).expect("started");
        FastLog
    }

    fn settle(&self) {
        log::logger().flush();
    }

    fn finish(self) {
        log::logger().flush();
    }
}
