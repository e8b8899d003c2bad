//! Programs on a terminal of their own.

use std::process::{Command, Stdio};

/// A command that runs a line of a shell on a new terminal and ends as that ends, or nothing and why on standard output where there
/// is no script(1), which makes the terminal.
#[must_use]
pub fn on_a_terminal(line: &str) -> Option<Command> {
    if let Err(error) = Command::new("script").arg("--version").stdout(Stdio::null()).status() {
        println!("skipped: script(1), which makes a terminal, does not start: {error}");
        return None;
    }
    let mut script = Command::new("script");
    // It runs the line by the user's shell, and a shell that stays there as the parent gets the terminal's signals too.
    script.args(["-qec", &format!("exec {line}"), "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm");
    for name in ["NO_COLOR", "LASTWORDS_PAGER", "PAGER"] {
        script.env_remove(name);
    }
    Some(script)
}
