//! The log macros. Arguments are evaluated only where the level is enabled.

/// Records a message at a level: `log!(Level::INFO, "{} frames", n)`, with `target: "name",` first to name a target, and
/// `; key = value, …` at the end for fields.
///
/// Accepts what [`format!`] accepts. Arguments that are primitives, strings or bytes are copied into the record and
/// formatted later, by the flusher; others are formatted at once. A field's value is shown by its `Display`, with
/// `key = ?value` by its `Debug`.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("lastwords-doc-log-macro-{}", std::process::id()));
/// # lastwords::builder("host").dir(&folder).init()?;
/// let (frame, camera) = (7, "left");
/// lastwords::info!("frame {frame} took {:.1} ms", 16.66; camera, retries = 0);
/// lastwords::flush()?;
/// # let text = std::fs::read_to_string(folder.join("host.log"))?;
/// assert!(text.contains("[INFO] frame 7 took 16.7 ms camera=left retries=0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! log {
    (logger: $logger:expr, $level:expr, $($message:tt)+) => {
        $crate::__private::record!(($crate) ($logger) (::core::module_path!()) ($level) $($message)+)
    };
    (target: $target:expr, $level:expr, $($message:tt)+) => {
        $crate::__private::record!(($crate) () ($target) ($level) $($message)+)
    };
    ($level:expr, $($message:tt)+) => {
        $crate::__private::record!(($crate) () (::core::module_path!()) ($level) $($message)+)
    };
}

/// Whether a record of this level would be recorded here, for content that is expensive to assemble: `enabled!(Level::DEBUG)`,
/// with `target: "name",` or `logger: value,` first as in [`log!`](crate::log!).
///
/// True also for ring-only records, see [`Builder::ring_level`](crate::Builder::ring_level). The check records nothing, and counts
/// nothing as lost; if the process has no logger yet it is false.
///
/// ```
/// use lastwords::{Level, enabled};
/// # let folder = std::env::temp_dir().join(format!("lastwords-doc-enabled-{}", std::process::id()));
/// lastwords::builder("host").dir(&folder).log("info,hyper=warn").init()?;
/// assert!(enabled!(Level::INFO) && !enabled!(Level::DEBUG));
/// assert!(enabled!(target: "hyper::client", Level::WARNING) && !enabled!(target: "hyper::client", Level::INFO));
/// let audit = lastwords::builder("audit").dir(&folder).level(Level::TRACE).open()?;
/// assert!(enabled!(logger: audit, Level::DEBUG));
/// # Ok::<(), lastwords::Error>(())
/// ```
#[macro_export]
macro_rules! enabled {
    (logger: $logger:expr, $level:expr $(,)?) => {
        $crate::__private::enabled_in($logger, $level, ::core::module_path!())
    };
    (target: $target:expr, $level:expr $(,)?) => {
        $crate::__private::enabled($level, $target)
    };
    ($level:expr $(,)?) => {
        $crate::__private::enabled($level, ::core::module_path!())
    };
}

macro_rules! level_macro {
    ($dollar:tt $name:ident, $level:ident, $doc:literal) => {
        #[doc = $doc]
        ///
        /// Accepts what [`format!`] accepts, and after it fields as `; key = value`; before it `target: "name"`, or
        /// `logger: value` for a logger of another role. See [`log!`](crate::log!).
        #[macro_export]
        macro_rules! $name {
                            (logger: $dollar logger:expr, $dollar($dollar message:tt)+) => {
                                $crate::log!(logger: $dollar logger, $crate::Level::$level, $dollar($dollar message)+)
                            };
                            (target: $dollar target:expr, $dollar($dollar message:tt)+) => {
                                $crate::log!(target: $dollar target, $crate::Level::$level, $dollar($dollar message)+)
                            };
                            ($dollar($dollar message:tt)+) => {
                                $crate::log!($crate::Level::$level, $dollar($dollar message)+)
                            };
                        }
    };
}

level_macro!($ trace, TRACE, "Records a message at TRACE.");
level_macro!($ debug, DEBUG, "Records a message at DEBUG.");
level_macro!($ info, INFO, "Records a message at INFO.");
level_macro!($ warning, WARNING, "Records a message at WARNING.");
level_macro!($ warn, WARNING, "Records a message at WARNING: [`warning!`](crate::warning!) under the name that it has in `log` and `tracing`.");
level_macro!($ error, ERROR, "Records a message at ERROR.");
level_macro!($ critical, CRITICAL, "Records a message at CRITICAL.");
