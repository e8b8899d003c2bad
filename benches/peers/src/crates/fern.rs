//! fern as its crate documentation sets it up: a format of time, level and text, and `log_file`, which is "buffered and
//! flushed once per log record" (`impl From<File> for Output`). It offers no asynchronous mode and no other buffering.

use crate::peer::Peer;
use log::LevelFilter;
use std::path::Path;
use std::time::SystemTime;

pub(crate) struct Fern;

impl Peer for Fern {
    const PACKAGE: &'static str = "fern";
    const MODE: &'static str = "synchronous, one write(2) per line";

    fn start(folder: &Path) -> Self {
        fern::Dispatch::new()
            .format(|out, message, record| {
                let time = humantime::format_rfc3339_millis(SystemTime::now());
                out.finish(format_args!("{time} {} {message}", record.level()));
            })
            .level(LevelFilter::Info)
            .chain(fern::log_file(folder.join("bench.log")).expect("a file"))
            .apply()
            .expect("the first logger");
        Fern
    }

    fn finish(self) {}
}
