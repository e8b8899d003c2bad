//! Commands in namespaces of their own, where this machine and user can make them.

use std::process::{Command, Stdio};

/// A command that runs `script` by bash in new namespaces, as unshare(1) makes them with `flags`. None, with the reason
/// printed, where they cannot be made, or where `needs`, a script of its own, fails in them.
#[must_use]
pub fn unshare(flags: &[&str], needs: &str, script: &str) -> Option<Command> {
    let new = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(flags).args(["bash", "-c", script]);
        command
    };
    let output = new(needs).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Some(new(script)),
        Ok(output) => {
            println!("skipped: {flags:?} cannot be had here: {}", String::from_utf8_lossy(&output.stderr).trim());
            None
        }
        Err(error) => {
            println!("skipped: unshare does not start: {error}");
            None
        }
    }
}
