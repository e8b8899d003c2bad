//! Environment variables, and whether they are obeyed.

use crate::mutant::{self, Mutant};
use crate::sys::user;
use std::env;
use std::ffi::OsString;

/// Whether environment variables are obeyed: not by a program that runs with more rights than its caller (set-user-id,
/// set-group-id, file capabilities).
#[must_use]
pub fn is_obeyed() -> bool {
    !user::is_privileged_program() || mutant::is(Mutant::CallerObeyed)
}

/// An environment variable; an empty one is treated as unset. A program that runs with more rights than its caller obeys none:
/// they would decide which files it creates and reads with those rights.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty() && is_obeyed())
}
