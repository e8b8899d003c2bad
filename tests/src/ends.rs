//! What is logged about how a process ended, with and without a witness.

use crate::actor::{Actor, flush_once, wait_for};
use crate::logs::{Line, crash_files, read};
use crate::scratch::Scratch;
use std::path::{Path, PathBuf};

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
    tool: &'static str,
}

impl Scene {
    /// Begins one. `actor` and `tool` are the helper programs of these names.
    ///
    /// # Panics
    /// If the flusher does not start.
    #[must_use]
    pub fn new(name: &str, seen: Seen, actor: &str, tool: &'static str) -> Scene {
        let folder = Scratch::new(name);
        let start = || Actor::start(actor, "host", folder.path(), &["say:up", "flush", "line:up", "wait"]).until("up");
        let host = (seen == Seen::ByAFlusher).then(start);
        Scene { folder, host, tool }
    }

    /// The log folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The flusher.
    pub fn host(&mut self) -> Option<&mut Actor> {
        self.host.as_mut()
    }

    /// Waits until the records of this role's dead processes are in its file, and returns the lines but the death line, and the
    /// crash files.
    ///
    /// # Panics
    /// If a ring stays.
    #[must_use]
    pub fn told_of(&self, role: &str) -> (Vec<Line>, Vec<PathBuf>) {
        if self.host.is_none() && !self.rings(role).is_empty() {
            flush_once(self.tool, self.path());
        }
        wait_for("the removal of dead rings", || self.rings(role).is_empty().then_some(()));
        let lines = read(self.path(), role).into_iter();
        let lines = lines.filter(|line| !line.message.contains("left by an earlier run"));
        let files = crash_files(self.path()).into_iter();
        let of_role = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(role));
        (lines.collect(), files.filter(of_role).collect())
    }

    /// Names of the rings of a role.
    ///
    /// # Panics
    /// If there is no folder of them.
    #[must_use]
    pub fn rings(&self, role: &str) -> Vec<String> {
        let found = std::fs::read_dir(self.path().join("rings")).expect("there").filter_map(Result::ok);
        let names = found.map(|file| file.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(&format!("{role}-")) && name.ends_with(".ring")).collect()
    }

    /// Waits until no process with a ring of this role is there any more.
    pub fn wait_for_the_end_of(&self, role: &str) {
        let lives = |ring: &String| {
            let pid = ring.strip_prefix(&format!("{role}-")).and_then(|name| name.split('-').next().map(str::to_owned));
            pid.is_some_and(|pid| Path::new("/proc").join(pid).exists())
        };
        wait_for("the last process", || (!self.rings(role).iter().any(lives)).then_some(()));
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
