//! The loggers that are compared, one file each, with the configuration and the place that documents it.

mod fast_log;
mod fern;
mod flexi_logger;
mod ftlog;
mod lastwords;
mod log4rs;
mod logforth;
mod slog_async;
mod spdlog;
mod ticklog;
mod tracing_appender;
mod write;

use crate::peer::Job;

macro_rules! peers {
    ($($name:literal => $peer:ty,)*) => {
        /// Names of all rows, in the order of the table.
        pub(crate) const NAMES: &[&str] = &[$($name),*];

        /// Does `job` with the peer of this name.
        pub(crate) fn with<J: Job>(name: &str, job: J) -> Option<J::Output> {
            match name {
                $($name => Some(job.run::<$peer>()),)*
                _ => None,
            }
        }
    };
}

peers! {
    "lastwords" => lastwords::Macro,
    "lastwords-log" => lastwords::Facade,
    "write" => write::Write,
    "ticklog" => ticklog::Ticklog,
    "tracing-appender" => tracing_appender::Rolling,
    "tracing-appender-buffered" => tracing_appender::Buffered,
    "flexi_logger-async" => flexi_logger::Async,
    "flexi_logger-buffered" => flexi_logger::Buffered,
    "log4rs" => log4rs::Log4rs,
    "fern" => fern::Fern,
    "ftlog" => ftlog::Ftlog,
    "fast_log" => fast_log::FastLog,
    "spdlog-async" => spdlog::Async,
    "spdlog-sync" => spdlog::Sync,
    "slog-async" => slog_async::SlogAsync,
    "logforth" => logforth::Logforth,
}
