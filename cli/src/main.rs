//! The `lastwords` tool.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let program = env::current_exe().map_or_else(|_| OsString::from("lastwords"), OsString::from);
    ExitCode::from(lastwords_cli::run(&[program], env::args_os().skip(1)))
}
