//! The log macros. Arguments are evaluated only where the level is enabled.

/// Records a message at a level: `log!(Level::INFO, "{} frames", n)`, with `target: "name"` first to name a target.
/// Accepts what [`format!`] accepts.
#[macro_export]
macro_rules! log {
    (logger: $logger:expr, $level:expr, $format:literal $($arguments:tt)*) => {{
        static SITE: $crate::Site =
            $crate::Site::new($level, module_path!(), module_path!(), file!(), line!(), $format);
        if let Some(enabled) = SITE.enabled_in($logger) {
            SITE.record(enabled, format_args!($format $($arguments)*));
        }
    }};
    (target: $target:expr, $level:expr, $format:literal $($arguments:tt)*) => {{
        static SITE: $crate::Site =
            $crate::Site::new($level, $target, module_path!(), file!(), line!(), $format);
        if let Some(enabled) = SITE.enabled() {
            SITE.record(enabled, format_args!($format $($arguments)*));
        }
    }};
    ($level:expr, $format:literal $($arguments:tt)*) => {
        $crate::log!(target: module_path!(), $level, $format $($arguments)*)
    };
}

macro_rules! level_macro {
    ($dollar:tt $name:ident, $level:ident, $doc:literal) => {
        #[doc = $doc]
        ///
        /// Accepts what [`format!`] accepts; before it `target: "name"`, or `logger: value` for a logger of another role.
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
level_macro!($ error, ERROR, "Records a message at ERROR.");
level_macro!($ critical, CRITICAL, "Records a message at CRITICAL.");
