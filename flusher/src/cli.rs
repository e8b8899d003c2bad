//! The command line.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use lastwords::folder::{Folder, default_path};
use lastwords::{Level, Result};
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit status: 0 done, 1 nothing to do, 2 wrong usage or an error, 3 damage was found.";

/// Flush, recover and feed the logs of processes that log with lastwords.
#[derive(Debug, Parser)]
#[command(name = "lastwords", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Flush(Flush),
    Recover(Recover),
    Pipe(Pipe),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  lastwords completions bash > ~/.local/share/bash-completion/completions/lastwords"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Drain the rings of a log folder into its log files.
///
/// Without --once it runs until SIGTERM or SIGINT and drains for all processes of the folder. While another process
/// flushes it stands by.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lastwords flush /var/log/app\n  lastwords flush --once --dir /var/log/app")]
pub(crate) struct Flush {
    /// Drain what is there now, then exit: 0 if something was drained, 1 if there was nothing.
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The log folder; the same as --dir.
    #[arg(conflicts_with = "dir")]
    pub(crate) folder: Option<PathBuf>,
}

/// Print what no log file has yet.
///
/// Reads rings and journal without changing anything: what dead processes left, and what live ones logged a moment
/// ago. A summary of each ring goes to standard error. Exits with 0 if there were records, 1 if there were none, 3 if
/// damage was found.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lastwords recover /var/log/app\n  lastwords recover crash/worker-4157-*.ring --json\n  \
                  lastwords recover --drain /var/log/app    append it to the log files instead"
)]
pub(crate) struct Recover {
    /// Append the records to the log files as the flusher would, and remove the rings of dead processes.
    #[arg(long, conflicts_with = "json")]
    pub(crate) drain: bool,
    /// One JSON object a line instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    /// Times in UTC instead of local time.
    #[arg(long)]
    pub(crate) utc: bool,
    /// Log folders or ring files.
    #[arg(required = true, value_name = "FOLDER-or-FILE")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Log each line of standard input.
///
/// The level is recognised from common prefixes (error:, WARNING, [debug] …), the text stays unchanged. Every line
/// that was read is safe at once, whatever kills this process.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo build -vv 2>&1 | lastwords pipe --role build --dir logs\n  \
                        ./worker 2>&1 | lastwords pipe --role worker --tee")]
pub(crate) struct Pipe {
    /// Role: the log file is ROLE.log.
    #[arg(long, env = "LASTWORDS_ROLE", default_value = "worker")]
    pub(crate) role: String,
    /// Level of lines without a prefix.
    #[arg(long, default_value = "info")]
    pub(crate) level: Level,
    /// Also copy the lines to standard output.
    #[arg(long)]
    pub(crate) tee: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Where the logs are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Log folder [default: <temp dir>/<app>/logs]
    #[arg(long, env = "LASTWORDS_DIR", value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// Application whose default folder is meant.
    #[arg(long, default_value = "lastwords")]
    pub(crate) app: String,
}

impl Place {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| default_path(&self.app))
    }
}

impl Flush {
    /// The folder, which must exist.
    pub(crate) fn open(&self) -> Result<Folder> {
        Folder::open(&self.folder.clone().unwrap_or_else(|| self.place.path()))
    }
}
