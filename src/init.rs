//! Initialisation: the only place where settings, loggers and front ends meet.

use crate::config::builder::{Builder, role_from_env};
use crate::config::rust_log::rust_log;
use crate::front::call_site::record_bytes;
use crate::front::handle::Log;
#[cfg(feature = "tracing")]
use crate::front::tracing;
use crate::front::{log_facade, panic};
use crate::logger::ring_logger::Logger;
use crate::process::loggers;
use lastwords_ring::error::Result;
use lastwords_ring::format::level::Level;
use lastwords_ring::format::text::escaped;
use lastwords_ring::place::stderr::complain;

/// Starts to log as `role` with the defaults.
///
/// # Errors
/// As [`Builder::init`].
pub fn init(role: &str) -> Result<()> {
    Builder::new(role).init()
}

/// Starts to log as the role in `LASTWORDS_ROLE`, else as `worker`. A host sets it for its children.
///
/// # Errors
/// As [`Builder::init`].
pub fn init_from_env() -> Result<()> {
    Builder::new(role_from_env()?.unwrap_or_else(|| "worker".to_owned())).init()
}

/// Starts to log as `role` with the defaults, and takes the events of `tracing` and the records of the `log` facade.
///
/// ```no_run
/// fn main() -> Result<(), lastwords::Error> {
///     lastwords::init_tracing("web")?;
///     tracing::info!(port = 8080, "listening");
///     Ok(())
/// }
/// ```
///
/// # Errors
/// As [`Builder::init_tracing`].
#[cfg(feature = "tracing")]
pub fn init_tracing(role: &str) -> Result<()> {
    Builder::new(role).init_tracing()
}

impl Builder {
    /// Creates the ring and starts to log: the macros of this crate and the `log` facade write to it from now on. At a normal
    /// exit of the process the files hold everything, with no guard to keep.
    ///
    /// A second call with the same settings does nothing, so each test of a program may begin with one, in any thread.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("lastwords-doc-twice-{}", std::process::id()));
    /// lastwords::builder("host").dir(&folder).init()?;
    /// lastwords::builder("host").dir(&folder).init()?;
    /// let error = lastwords::builder("host").dir(&folder).rotate_keep(3).init().expect_err("another value");
    /// assert_eq!(error.to_string(), "rotate_keep: 3 found, but this process was initialised with 5 already");
    /// # Ok::<(), lastwords::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid value; [`crate::Error::SettingDiffers`] at a second call with other settings
    /// than the first; [`crate::Error::FacadeTaken`] if another logger has the `log` facade; [`crate::Error::Initialising`]
    /// while another thread takes longer than a second to create the first logger; [`crate::Error::Folder`] and
    /// [`crate::Error::Io`] if the ring cannot be created.
    pub fn init(self) -> Result<()> {
        let mut builder = self.resolve()?;
        let from_rust = if builder.settings.log.is_none() { heeded_rust_log() } else { None };
        builder.settings.log = builder.settings.log.or(from_rust.clone());
        let builder = builder.noting_all()?;
        let (takes_facade, panic_hook) = (builder.takes_facade(), builder.settings.panic_hook.unwrap_or(true));
        // What cannot be given back is taken last.
        let last = || if takes_facade { log_facade::install() } else { Ok(()) };
        if !loggers::init(builder, last, filter_changed)? {
            return Ok(());
        }
        if panic_hook {
            panic::install();
        }
        let counts = |log: &String| {
            loggers::current().is_some_and(|logger| logger.filter.current().directives.to_string() == *log)
        };
        if let Some(log) = from_rust.filter(counts) {
            let text = format!("lastwords: what is written is chosen by RUST_LOG: {log}");
            record_bytes(Level::INFO, "lastwords", text.as_bytes());
        }
        Ok(())
    }

    /// [`Builder::init`], with a `tracing` subscriber that has only [`crate::tracing_layer`]. For other layers as well, call
    /// `init` and create the subscriber:
    ///
    /// ```no_run
    /// use tracing_subscriber::prelude::*;
    /// // With its default features, `init` of tracing-subscriber takes the `log` facade.
    /// lastwords::builder("web").log_facade(false).init()?;
    /// # #[cfg(any())]
    /// tracing_subscriber::registry().with(lastwords::tracing_layer()).with(tracing_subscriber::fmt::layer()).init();
    /// # Ok::<(), lastwords::Error>(())
    /// ```
    ///
    /// As with [`Builder::init`], a second call with the same settings does nothing.
    ///
    /// # Errors
    /// [`crate::Error::SubscriberTaken`] if the program has a subscriber already; else as [`Builder::init`].
    #[cfg(feature = "tracing")]
    pub fn init_tracing(self) -> Result<()> {
        tracing::refuse_other_subscriber()?;
        self.init()?;
        tracing::subscribe()
    }

    /// Creates a logger as a value, which the macros take as `logger: value`; the process's own logger is unaffected. If the
    /// process has one of this role and folder already, by whatever name of the folder, returns that one.
    ///
    /// # Errors
    /// As [`Builder::init`]; [`crate::Error::SettingDiffers`] if a setting that is given here differs from that of the existing
    /// logger of this role and folder, because a ring keeps its settings; [`crate::Error::TooManyLoggers`]. [`Log::set_log`]
    /// changes what is written.
    pub fn open(self) -> Result<Log> {
        let asked = self.settings.clone();
        let cell = loggers::open(self.resolve()?)?;
        match cell.refuse_others(&asked) {
            Ok(()) => Ok(Log::of(cell)),
            // Other openers keep using it; that they have closed it by now is not an error of this call.
            Err(error) => loggers::close_cell(cell).and(Err(error)),
        }
    }
}

/// Synchronises the front ends' own filters with that of the process's logger.
fn filter_changed(logger: &'static Logger) {
    log_facade::follow(logger);
    #[cfg(feature = "tracing")]
    tracing::changed();
}

/// What `RUST_LOG` says, if nothing else sets directives. An invalid one is reported.
fn heeded_rust_log() -> Option<String> {
    let heeded = rust_log()?;
    heeded.map_err(|error| complain(format_args!("RUST_LOG is not heeded: {}", escaped(&error)))).ok()
}
