//! Which version of a package was built.

/// The lock file that this program was built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// The version of the package of this name.
pub(crate) fn of(package: &str) -> Option<&'static str> {
    let named = format!("name = \"{package}\"");
    let mut lines = LOCK.lines().skip_while(|line| *line != named).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lock_file_names_every_peer() {
        assert_eq!(super::of("lastwords-peers"), Some("0.1.0"));
        assert!(super::of("spdlog-rs").is_some());
        assert_eq!(super::of("no-such-package"), None);
    }
}
