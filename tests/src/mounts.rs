//! Small file systems in memory, for tests that need one that is full, short of inodes or read-only.

use crate::scratch::Scratch;
use std::path::Path;
use std::process::Command;

/// A tmpfs, unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs(Scratch);

impl Tmpfs {
    /// Mounts one with these options. None, with the reason printed, where that is not possible.
    ///
    /// # Panics
    /// If mount(8) is missing.
    #[must_use]
    pub fn mount(options: &str) -> Option<Tmpfs> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can mount a small tmpfs");
            return None;
        }
        let disk = Scratch::new("small-disk");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "lastwords-test"]).arg(disk.path());
        if !mount.status().is_ok_and(|status| status.success()) {
            println!("skipped: a tmpfs cannot be mounted here");
            return None;
        }
        Some(Tmpfs(disk))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Mounts it again with these options.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "remount,{options}");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.path()).status();
    }
}
