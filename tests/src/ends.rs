//! What is logged about how a process ended, with and without a witness.

use crate::actor::{Actor, flush_once, wait_until};
use crate::files::{name_of, names_in};
use crate::logs::{Line, crash_files, read};
use crate::programs::HANDLER;
use crate::scratch::Scratch;
use crate::script::Script;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// The witness when a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A flusher that followed its ring.
    ByAFlusher,
    /// No witness. What the kernel knew is forgotten with the process, as if it had never known.
    ByNobody,
}

impl Seen {
    /// Both.
    pub const ALL: [Seen; 2] = [Seen::ByAFlusher, Seen::ByNobody];

    /// What is said of a process that was killed by SIGKILL.
    #[must_use]
    pub fn killed(self) -> &'static str {
        if self == Seen::ByAFlusher { "was killed by SIGKILL without closing" } else { "died without closing" }
    }

    /// The action that makes a logger for this.
    #[must_use]
    pub fn init(self) -> &'static str {
        if self == Seen::ByAFlusher { "init" } else { "init-alone" }
    }
}

/// A folder, with or without another process that flushes it.
#[derive(Debug)]
pub struct Scene {
    folder: Scratch,
    host: Option<Actor>,
}

impl Scene {
    /// Begins one.
    ///
    /// # Panics
    /// If the flusher does not start.
    #[must_use]
    pub fn new(name: &str, seen: Seen) -> Scene {
        let folder = Scratch::new(name);
        let start = || Actor::start("host", &folder, "say:up flush line:up wait").until("up");
        let host = (seen == Seen::ByAFlusher).then(start);
        Scene { folder, host }
    }

    /// The log folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Starts the program `handler` as `worker`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(&self, script: impl Script) -> Actor {
        Actor::of(HANDLER.acting("worker", &self.folder, script))
    }

    /// Runs the program `handler` as `worker` to its end.
    pub fn run(&self, script: impl Script) -> ExitStatus {
        self.start(script).end()
    }

    /// Waits until the records of this role's dead processes are in its file, and returns the lines but the death line, and the
    /// crash files.
    ///
    /// # Panics
    /// If a ring stays.
    #[must_use]
    pub fn told_of(&self, role: &str) -> (Vec<Line>, Vec<PathBuf>) {
        if self.host.is_none() && !self.rings(role).is_empty() {
            flush_once(self.path());
        }
        wait_until("the removal of dead rings", || self.rings(role).is_empty());
        let (mut lines, mut files) = (read(self.path(), role), crash_files(self.path()));
        lines.retain(|line| !line.message.contains("left by an earlier run"));
        files.retain(|path| name_of(path).starts_with(role));
        (lines, files)
    }

    /// Names of the rings of a role.
    ///
    /// # Panics
    /// If there is no folder of them.
    #[must_use]
    pub fn rings(&self, role: &str) -> Vec<String> {
        let of_role = |name: &String| name.starts_with(&format!("{role}-")) && name.ends_with(".ring");
        names_in(&self.path().join("rings")).into_iter().filter(of_role).collect()
    }

    /// Waits until no process with a ring of this role is there any more.
    pub fn wait_for_the_end_of(&self, role: &str) {
        let lives = |ring: &String| {
            let pid = ring.strip_prefix(&format!("{role}-")).and_then(|name| name.split('-').next().map(str::to_owned));
            pid.is_some_and(|pid| Path::new("/proc").join(pid).exists())
        };
        wait_until("the last process", || !self.rings(role).iter().any(lives));
    }

    /// What is said of deaths in the log of a role, up to the pid, with as many crash files.
    ///
    /// # Panics
    /// If there is another number of crash files.
    #[must_use]
    pub fn deaths_of(&self, role: &str) -> Vec<String> {
        let (lines, files) = self.told_of(role);
        let deaths = lines.into_iter().filter(|line| line.level == "CRITICAL").map(|line| {
            let logged = line.message.strip_prefix("lastwords: the process ").expect("of a process");
            logged.split(" its log").next().unwrap_or(logged).to_owned()
        });
        let deaths: Vec<String> = deaths.collect();
        assert_eq!(files.len(), deaths.len(), "{deaths:?} {files:?}");
        deaths
    }
}
