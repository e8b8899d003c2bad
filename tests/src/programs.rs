//! The programs that are built beside the tests.

use crate::script::Script;
use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// One of them: its path, wherever a text or the name of a program is wanted.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    path: OnceLock<String>,
}

/// Logs as its arguments say.
pub static ACTOR: Program = Program::named("actor");
/// Crashes as its arguments say.
pub static CRASHER: Program = Program::named("crasher");
/// Drains a folder from a single thread.
pub static DRAINER: Program = Program::named("drainer");
/// Becomes the flusher of a folder once.
pub static ELECTOR: Program = Program::named("elector");
/// Has more than one logger, thread, process or target.
pub static FRONT: Program = Program::named("front");
/// Handles signals itself, or ends in a way of its own.
pub static HANDLER: Program = Program::named("handler");
/// An axum server.
pub static SERVER: Program = Program::named("server");
/// Logs a few messages, to be inspected between any two instructions.
pub static STEPPER: Program = Program::named("stepper");
/// The tool.
pub static TOOL: Program = Program::named("lastwords-cli");
/// Logs through `tracing`.
pub static TRACER: Program = Program::named("tracer");
/// Logs numbered messages until it is killed.
pub static VICTIM: Program = Program::named("victim");

impl Program {
    const fn named(name: &'static str) -> Program {
        Program { name, path: OnceLock::new() }
    }

    /// A command that starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        Command::new(self)
    }

    /// A command that starts it as `role` in `folder`, to do this.
    #[must_use]
    pub fn acting(&self, role: &str, folder: &Path, script: impl Script) -> Command {
        let mut command = self.command();
        command.arg(role).arg(folder).args(script.words());
        command
    }
}

impl Deref for Program {
    type Target = str;

    fn deref(&self) -> &str {
        self.path.get_or_init(|| {
            // Cargo has test programs in a folder below that of the others.
            let own = std::env::current_exe().expect("this program");
            let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("its folder");
            folder.join(self.name).to_str().expect("a plain path").to_owned()
        })
    }
}

impl Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl AsRef<OsStr> for Program {
    fn as_ref(&self) -> &OsStr {
        OsStr::new(&**self)
    }
}
