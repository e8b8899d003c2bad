//! `RUST_LOG`, the variable of other loggers: the last of all sources of `log`.

use lastwords_ring::format::directives::Directives;
use lastwords_ring::format::level::Level;
use lastwords_ring::place::environment::variable;

/// The directives of `RUST_LOG`, if it is set, or why they are none. Targets that it does not name stay at the default. Other
/// libraries accept more forms of it, so an invalid one prevents no program from starting.
pub(crate) fn rust_log() -> Option<Result<String, String>> {
    let text = variable("RUST_LOG")?;
    let parsed = Directives::parse(&text.to_string_lossy(), Level::INFO);
    Some(parsed.map(|directives| directives.to_string()).map_err(|error| error.to_string()))
}
