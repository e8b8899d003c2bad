//! The native part of the Python package `lastwords`: rings, the fast path of a log call, the console, the tool.
//!
//! On anything but 64-bit little-endian Linux the module is empty, and the package falls back to the standard library's
//! `RotatingFileHandler`.

macro_rules! on_linux {
    ($($item:item)*) => {
        $(#[cfg(all(target_os = "linux", target_pointer_width = "64", target_endian = "little"))] $item)*
    };
}

on_linux! {
    mod attributes;
    mod console;
    mod handler;
    mod interpreter;
    mod logger;
    mod methods;
    mod percent;
    mod place;
    mod process;
    mod ring;
    mod standard;
    mod tool;
}

/// What `lastwords._native` holds.
#[cfg(all(target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
#[pyo3::pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "as Python calls it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use super::console::Console;
    #[pymodule_export]
    use super::handler::FastHandler;
    #[pymodule_export]
    use super::interpreter::is_main_interpreter;
    #[pymodule_export]
    use super::logger::{FastLogger, set_namer};
    #[pymodule_export]
    use super::methods::fast_methods;
    #[pymodule_export]
    use super::process::{
        after_fork_in_child, after_fork_in_parent, before_fork, close, fatal_signals_first, reopen, sigbus_guard_first,
        watch_signals,
    };
    #[pymodule_export]
    use super::ring::{Ring, configured_levels, configured_ring_level, name_thread};
    #[pymodule_export]
    use super::standard::set_standard;
    #[pymodule_export]
    use super::tool::run_tool;
}

/// Nothing but the version.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
#[pyo3::pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "as Python calls it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
