//! What `lastwords show` is asked for.

use super::field_test::FieldTest;
use super::levels::Levels;
use super::when::When;
use crate::place::{Place, Rings};
use clap::{Args, ValueEnum};
use lastwords::Result;
use std::path::PathBuf;

/// Show the records of log folders in one order of time.
///
/// Everything that a folder holds: current and rotated files of all roles, text and JSON, and what is still in the rings and in
/// no file yet, so that it is complete with a flusher and without one. Each record is shown once, with all lines of its message.
/// On a terminal it goes through a pager, with colours for levels and processes. Exits with 0 if there were records, 1 if there
/// were none.
#[derive(Debug, Args)]
#[command(
    after_help = "Times: \"2025-10-19 05:55:47\", \"2025-10-19\", \"14:30\", today, yesterday, now, \"10 min ago\", \"2h ago\", \
                  RFC 3339, @SECONDS.\n\nExamples:\n  \
                  lastwords show /var/log/app                          everything\n  \
                  lastwords show -f /var/log/app                       and what is logged from now on\n  \
                  lastwords show -n 20 /var/log/app                    the last 20 records\n  \
                  lastwords show -p error -S '10 min ago' /var/log/app the errors of the last ten minutes\n  \
                  lastwords show -g timeout -C 3 /var/log/app          with three records around each\n  \
                  lastwords show -u worker --pid 4157 /var/log/app     one process\n  \
                  lastwords show --before-crash 20 /var/log/app        what was logged before each death\n  \
                  lastwords show --field status=500 -o json /var/log/app"
)]
pub(crate) struct Show {
    /// Go on with what is logged from now on, until it is ended.
    #[arg(short, long, conflicts_with_all = ["reverse", "until"])]
    pub(crate) follow: bool,
    /// Only the last N records.
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<u64>,
    /// Only this role; may be given several times.
    #[arg(short = 'u', long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// Only records of this level and above, or from LOW to HIGH: names, numbers, names that a process gave.
    #[arg(short = 'p', long = "priority", visible_alias = "level", value_name = "LEVEL|LOW..HIGH")]
    pub(crate) levels: Option<Levels>,
    /// Only records from this time on.
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<When>,
    /// Only records up to this time.
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<When>,
    /// Only records since the machine was started.
    #[arg(short, long)]
    pub(crate) boot: bool,
    /// Of each role, only what was logged since its last process began.
    #[arg(long)]
    pub(crate) last_run: bool,
    /// Only records whose message, with all its lines, matches; in any case where the expression has no capital letter.
    #[arg(short, long, value_name = "REGEX")]
    pub(crate) grep: Option<String>,
    /// With so many records after each one that is shown.
    #[arg(short = 'A', long, value_name = "N")]
    pub(crate) after: Option<usize>,
    /// With so many records before it.
    #[arg(short = 'B', long, value_name = "N")]
    pub(crate) before: Option<usize>,
    /// Both. Levels, expressions, targets and fields choose the record; roles, times, processes and threads what is around it.
    #[arg(short = 'C', long, value_name = "N")]
    pub(crate) context: Option<usize>,
    /// Only this process; may be given several times.
    #[arg(long = "pid", value_name = "PID")]
    pub(crate) pids: Vec<u32>,
    /// Only this thread, by its number or name. Text files do not have it.
    #[arg(long = "thread", value_name = "THREAD")]
    pub(crate) threads: Vec<String>,
    /// Only records whose target begins so. Text files do not have it.
    #[arg(long = "target", value_name = "PREFIX")]
    pub(crate) targets: Vec<String>,
    /// Only records with a field like this: k=v, k!=v, or k~text for a part of the value; of several all must agree. Text files
    /// do not have fields apart from the message.
    #[arg(long = "field", value_name = "K=V|K!=V|K~TEXT")]
    pub(crate) fields: Vec<FieldTest>,
    /// The newest first.
    #[arg(short, long)]
    pub(crate) reverse: bool,
    /// Times in UTC.
    #[arg(long)]
    pub(crate) utc: bool,
    /// How a record is shown.
    #[arg(short, long, value_name = "FORM", default_value = "short")]
    pub(crate) output: Form,
    /// With the records of crash files that are in no log file: what a process recorded in its ring alone.
    #[arg(long, conflicts_with_all = ["follow", "cursor_file"])]
    pub(crate) crash: bool,
    /// Only the last N records of all roles up to the last one of each process whose death the log tells of, and the line that
    /// tells of it.
    #[arg(long, value_name = "N", conflicts_with_all = ["follow", "after", "before", "context", "lines", "reverse"])]
    pub(crate) before_crash: Option<u64>,
    /// Go on behind what was shown with this file the last time, and note in it how far this time went.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["lines", "reverse"])]
    pub(crate) cursor_file: Option<PathBuf>,
    /// No notes on standard error about what cannot be read.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Straight to the terminal.
    #[arg(long)]
    pub(crate) no_pager: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) rings: Rings,
    /// Log folders [default: as --dir].
    #[arg(value_name = "FOLDER", conflicts_with = "dir")]
    pub(crate) folders: Vec<PathBuf>,
}

/// How a record is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// As in a text file.
    Short,
    /// The same with the role, and with nanoseconds where they are known.
    Precise,
    /// All that is known, a line each.
    Verbose,
    /// JSON objects, one a line, as in a JSON file.
    Json,
    /// The message alone.
    Cat,
}

impl Show {
    /// The folders that are meant.
    pub(crate) fn paths(&self) -> Result<Vec<PathBuf>> {
        if self.folders.is_empty() { Ok(vec![self.place.path()?]) } else { Ok(self.folders.clone()) }
    }
}
