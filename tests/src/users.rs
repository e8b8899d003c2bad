//! Processes of several users, which only root can start.

use crate::actor::Actor;
use crate::programs::ACTOR;
use crate::scratch::Scratch;
use crate::script::Script;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A user without an entry in the system's database, and another one.
pub const USER: u32 = 61_234;
/// See [`USER`].
pub const OTHER: u32 = 61_235;
/// A group that is not a user's own.
pub const GROUP: u32 = 61_300;

/// Whether this process is root; prints a line if it is not.
#[must_use]
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: only root can start processes of several users");
    }
    is_root
}

/// Makes a folder with this owner and mode.
///
/// # Panics
/// If it cannot.
pub fn owned(path: &Path, uid: u32, gid: u32, mode: u32) {
    fs::create_dir_all(path).expect("made");
    chown(path, Some(uid), Some(gid)).expect("given away");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
}

/// A folder of [`USER`]'s, and the path of the log folder in it, which is yet to be made.
#[must_use]
pub fn users_folder(name: &str) -> (Scratch, PathBuf) {
    let (scratch, logs) = open_folder(name);
    owned(&scratch, USER, USER, 0o755);
    (scratch, logs)
}

/// A folder of this name that everybody may enter, and the path of a log folder in it, which is yet to be made.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn open_folder(name: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::new(name);
    fs::set_permissions(&scratch, Permissions::from_mode(0o755)).expect("changed");
    let logs = scratch.join("logs");
    (scratch, logs)
}

/// A command of this user's, in its own group alone.
#[must_use]
pub fn as_user(uid: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.uid(uid).gid(uid).stdin(Stdio::null());
    command
}

/// Like [`as_user`], also in [`GROUP`].
#[must_use]
pub fn in_group(uid: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    let id = uid.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--groups", &GROUP.to_string()]).arg(program).stdin(Stdio::null());
    command
}

/// A command that starts an actor of this user's.
#[must_use]
pub fn acting_as(uid: u32, role: &str, folder: &Path, script: impl Script) -> Command {
    let mut command = as_user(uid, &ACTOR);
    command.arg(role).arg(folder).args(script.words());
    command
}

/// An actor of this user's.
#[must_use]
pub fn actor_of(uid: u32, role: &str, folder: &Path, script: impl Script) -> Actor {
    Actor::of(acting_as(uid, role, folder, script))
}

/// Everything in a folder, at any depth.
///
/// # Panics
/// If a folder cannot be listed.
#[must_use]
pub fn all_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed").path()) {
        if entry.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            found.extend(all_in(&entry));
        }
        found.push(entry);
    }
    found.sort();
    found
}

/// Asserts that everything in a folder is this user's.
///
/// # Panics
/// If it is not.
pub fn assert_all_are(folder: &Path, uid: u32) {
    let owner = |path: &PathBuf| path.symlink_metadata().map_or(uid, |found| found.uid());
    let others: Vec<_> = all_in(folder).into_iter().filter(|path| owner(path) != uid).collect();
    assert_eq!(others, Vec::<PathBuf>::new(), "files of others than {uid}");
}

/// Mode and group of a file.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn access_of(path: &Path) -> (u32, u32) {
    let found = path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (found.mode() & 0o7777, found.gid())
}
