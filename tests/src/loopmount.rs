//! A file system in a file, mounted through a loop device, which can be stopped as by a power loss.

use crate::sys;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Size of the image of an ext4.
const SIZE: u64 = 64 << 20;

/// The mounted file system; unmounted when dropped, its loop device given back.
#[derive(Debug)]
pub struct LoopMount {
    device: String,
    path: PathBuf,
    kind: &'static str,
    mounted: bool,
}

impl LoopMount {
    /// Makes and mounts an ext4 below `scratch`.
    ///
    /// # Errors
    /// Why that is not possible here.
    pub fn new(scratch: &Path) -> Result<LoopMount, String> {
        LoopMount::with("ext4", SIZE, scratch)
    }

    /// Like [`LoopMount::new`], with a file system of this kind and size.
    ///
    /// # Errors
    /// Why that is not possible here.
    pub fn with(kind: &'static str, size: u64, scratch: &Path) -> Result<LoopMount, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can mount".to_owned());
        }
        let (image, path) = (scratch.join("image"), scratch.join("mount"));
        File::create(&image).and_then(|file| file.set_len(size)).map_err(|error| error.to_string())?;
        std::fs::create_dir(&path).map_err(|error| error.to_string())?;
        run(&format!("mkfs.{kind}"), &["-q", &image.to_string_lossy()])?;
        let device = run("losetup", &["--find", "--show", &image.to_string_lossy()])?.trim().to_owned();
        let mut mount = LoopMount { device, path, kind, mounted: false };
        mount.mount()?;
        Ok(mount)
    }

    fn mount(&mut self) -> Result<(), String> {
        run(
            "mount",
            &[
                "-t",
                self.kind,
                "-o",
                if self.kind == "xfs" { "rw" } else { "commit=1" },
                &self.device,
                &self.path.to_string_lossy(),
            ],
        )?;
        self.mounted = true;
        Ok(())
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has everything written to the disk.
    ///
    /// # Panics
    /// If that fails.
    pub fn sync(&self) {
        rustix::fs::syncfs(File::open(&self.path).expect("mounted")).expect("synced");
    }

    /// Stops it: nothing is written to the disk any more.
    ///
    /// # Panics
    /// If that fails.
    pub fn shut_down(&self) {
        sys::shut_down_ext4(&File::open(&self.path).expect("mounted")).expect("the file system stops");
    }

    /// Unmounts it and mounts what the disk holds.
    ///
    /// # Panics
    /// If that fails.
    pub fn again(&mut self) {
        self.unmount().expect("unmounted");
        self.mount().expect("mounted again");
    }

    fn unmount(&mut self) -> Result<(), String> {
        run("umount", &[&self.path.to_string_lossy()])?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            // It is still in use; it goes when its user ends.
            let _ = run("umount", &["--lazy", &self.path.to_string_lossy()]);
        }
        let _ = run("losetup", &["--detach", &self.device]);
    }
}

/// A folder below `scratch`, once more through FUSE; unmounted when dropped.
#[derive(Debug)]
pub struct Bind {
    path: PathBuf,
}

impl Bind {
    /// Mounts it by bindfs.
    ///
    /// # Errors
    /// Why that is not possible here.
    pub fn new(scratch: &Path) -> Result<Bind, String> {
        let (below, path) = (scratch.join("below"), scratch.join("fuse"));
        [&below, &path].into_iter().try_for_each(std::fs::create_dir).map_err(|error| error.to_string())?;
        run("bindfs", &["--no-allow-other", &below.to_string_lossy(), &path.to_string_lossy()])?;
        Ok(Bind { path })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = run("umount", &["--lazy", &self.path.to_string_lossy()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let failed = |error: io::Error| format!("{program}: {error}");
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).stdin(Stdio::null()).output().map_err(failed)?;
    if status.success() {
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&stderr).trim()))
    }
}
