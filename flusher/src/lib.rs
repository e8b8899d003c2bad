//! The `lastwords` tool as a library, so that another program can carry it.
//!
//! Draining itself is in the library `lastwords`, module `flush`, because every process embeds it.

mod cli;
mod demo;
mod exit;
mod flush;
mod guess;
mod level;
mod pipe;
mod recover;
mod status;
mod table;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use exit::Exit;
use std::process::ExitCode;

/// Runs the tool on this process's arguments and returns its exit status.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Flush(arguments) => flush::run(&arguments),
        Command::Recover(arguments) => recover::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Level(arguments) => level::run(&arguments),
        Command::Pipe(arguments) => pipe::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::DemoProcess(arguments) => demo::run_process(&arguments),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "lastwords", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            anstream::eprintln!("{}error:{} {error}", exit::ERROR.render(), exit::ERROR.render_reset());
            Exit::Failed.into()
        }
    }
}
