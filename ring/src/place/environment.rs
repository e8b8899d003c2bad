//! What the environment says, and whether it counts.

use crate::mutant::{self, Mutant};
use crate::sys::user;
use std::env;
use std::ffi::OsString;

/// Whether environment variables are obeyed: not by a program that runs with more rights than whoever started it (set-user-id,
/// set-group-id, file capabilities).
#[must_use]
pub fn is_obeyed() -> bool {
    !user::is_privileged_program() || mutant::is(Mutant::CallerObeyed)
}

/// An environment variable of the program's caller; an empty one says nothing. A program that runs with more rights than its
/// caller obeys none: they would say which files it makes and reads with those rights.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty() && is_obeyed())
}
