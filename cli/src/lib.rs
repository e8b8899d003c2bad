//! The `lastwords` tool as a library, so that another program can carry it.
//!
//! Draining itself is in the crate `lastwords-flusher`, because every process embeds it.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod colour;
mod crashes;
mod demo;
mod doctor;
mod exit;
mod feed;
mod flush;
mod guess;
mod input;
mod level;
mod lines;
mod man;
mod pipe;
mod place;
mod recover;
mod run;
mod say;
mod show;
mod status;
mod table;

use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use exit::Exit;
use lastwords_ring::place::become_owner::become_owner_of;
use std::ffi::OsString;
use std::iter;

/// Runs the tool and returns its exit status. `program` is how it is started again, by `demo`: the program, and arguments of
/// its own that come before the tool's. Errors in `arguments`, and help, are printed. Run by root in a folder of another user,
/// the process becomes that user for good.
#[must_use]
pub fn run(program: &[OsString], arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let name = OsString::from("lastwords");
    let parsed = Cli::command()
        .try_get_matches_from(iter::once(name).chain(arguments))
        .and_then(|found| Cli::from_arg_matches(&found));
    let command = match parsed {
        Ok(cli) => cli.command,
        Err(error) => {
            let _ = error.print();
            return error.exit_code() as u8;
        }
    };
    // Before any thread is started, and anything touched.
    let outcome = become_owner_of(&command.folders()).and_then(|()| match command {
        Command::Flush(arguments) => flush::run(&arguments, program),
        Command::Recover(arguments) => recover::run(&arguments, program),
        Command::Show(arguments) => show::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Level(arguments) => level::run(&arguments),
        Command::Pipe(arguments) => pipe::run(&arguments),
        Command::Run(arguments) => Ok(run::run(&arguments)),
        Command::Crashes(arguments) => crashes::run(&arguments, program),
        Command::Symbolise => crashes::answer(),
        Command::Demo(arguments) => demo::run(&arguments, program),
        Command::DemoProcess(arguments) => demo::run_process(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lastwords", &mut script);
            say::print(&script).map(|()| Exit::Done)
        }
        Command::Man(arguments) => man::run(&arguments),
    });
    let exit = outcome.unwrap_or_else(|error| {
        say::error(&error);
        Exit::Failed
    });
    exit.status()
}
