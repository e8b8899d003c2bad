//! log4rs with its file appender, which writes each record at once; it offers no asynchronous mode (docs of
//! `log4rs::append::file`). The pattern has time, level and text, where the default one adds the target.

use crate::peer::Peer;
use log::LevelFilter;
use log4rs::append::file::FileAppender;
use log4rs::config::{Appender, Config, Root};
use log4rs::encode::pattern::PatternEncoder;
use std::path::Path;

const PATTERN: &str = "{d(%Y-%m-%d %H:%M:%S%.3f)(utc)} {l} {m}{n}";

pub(crate) struct Log4rs;

impl Peer for Log4rs {
    const PACKAGE: &'static str = "log4rs";
    const MODE: &'static str = "synchronous, one write(2) per line";

    fn start(folder: &Path) -> Self {
        let encoder = Box::new(PatternEncoder::new(PATTERN));
        let file = FileAppender::builder().encoder(encoder).build(folder.join("bench.log")).expect("a file");
        let config = Config::builder()
            .appender(Appender::builder().build("file", Box::new(file)))
            .build(Root::builder().appender("file").build(LevelFilter::Info));
        log4rs::init_config(config.expect("a configuration")).expect("the first logger");
        Log4rs
    }

    fn finish(self) {}
}
