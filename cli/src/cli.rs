//! The command line.

use crate::place::{Logs, Place, Rings};
use crate::show::arguments::Show;
use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use lastwords::{FullPolicy, Result};
use lastwords_flusher::recover::crash_name::CRASH_ENDING;
use lastwords_ring::place::zone::Zone;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// An hour, as for the setting of this name.
pub(crate) const DURABLE_MAX: u64 = 3_600_000;

const EXIT_CODES: &str = "Run by root in a folder of another user, it becomes that user for good.\n\n\
                          Exit status: 0 done, 1 nothing to do, 2 wrong usage or an error, 3 damage was found.";

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
    Show(Box<Show>),
    Status(Status),
    Doctor(Doctor),
    Level(Level),
    Pipe(Pipe),
    Run(Run),
    Crashes(Crashes),
    Demo(Demo),
    /// Makes a report of a crash for the flusher, see `lastwords_flusher::crash::answer`.
    #[command(hide = true)]
    Symbolise,
    #[command(hide = true)]
    DemoProcess(DemoProcess),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  lastwords completions bash > ~/.local/share/bash-completion/completions/lastwords"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
    Man(ManPages),
}

impl Command {
    /// The log folders that it is about. If they cannot be determined, the command reports why.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        match self {
            Command::Flush(Flush { logs, .. }) | Command::Status(Status { logs, .. }) => {
                logs.path().into_iter().collect()
            }
            Command::Level(Level { place, .. }) | Command::Pipe(Pipe { lines: Lines { place, .. } }) => {
                place.path().into_iter().collect()
            }
            Command::Recover(recover) => recover.paths.iter().filter(|path| path.is_dir()).cloned().collect(),
            Command::Show(show) => show.paths().unwrap_or_default(),
            Command::Crashes(crashes) => crashes.folder().into_iter().collect(),
            // It reports why the owner cannot be determined, among the rest.
            Command::Doctor(_) => Vec::new(),
            // The program that it runs is to have the rights of whoever runs it.
            Command::Run(_) => Vec::new(),
            Command::Demo(_)
            | Command::DemoProcess(_)
            | Command::Symbolise
            | Command::Completions { .. }
            | Command::Man(_) => Vec::new(),
        }
    }
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
    /// Sync rings, journal and log files this often, overriding the processes; 0 for never [default: the shortest interval that
    /// a process requests, else never; LASTWORDS_DURABLE]
    #[arg(long, value_name = "MS", value_parser = RangedU64ValueParser::<u32>::new().range(..=DURABLE_MAX))]
    pub(crate) durable: Option<u32>,
    /// Mode of log and crash files, 0600, 0640, 0604 or 0644, overriding the processes [default: what they request, else 0600;
    /// LASTWORDS_FILE_MODE]
    #[arg(long, value_name = "MODE", value_parser = octal)]
    pub(crate) file_mode: Option<u32>,
    /// Their group, by name or number, likewise [LASTWORDS_FILE_GROUP]
    #[arg(long, value_name = "GROUP")]
    pub(crate) file_group: Option<String>,
    #[command(flatten)]
    pub(crate) logs: Logs,
}

pub(crate) fn octal(text: &str) -> Result<u32, String> {
    let octal = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8);
    octal.map_err(|_| "expected an octal mode as in 0640".to_owned())
}

/// Print what no log file has yet.
///
/// Reads rings and journal without changing anything: what dead processes left, and what live ones logged a moment
/// ago. A summary of each ring goes to standard error. Exits with 0 if there were records, 1 if there were none, 3 if
/// damage was found.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lastwords recover /var/log/app\n  lastwords recover crash/worker-4157-*.ring --json\n  \
                  lastwords recover --black-box /var/log/app    what running processes recorded last\n  \
                  lastwords recover --drain /var/log/app    append it to the log files instead"
)]
pub(crate) struct Recover {
    /// Append the records to the log files as the flusher would, and remove the rings of dead processes.
    #[arg(long, conflicts_with = "json")]
    pub(crate) drain: bool,
    /// Print all that the rings still hold instead, of every level, with what is known of each process: of live
    /// processes, and of rings that were copied.
    #[arg(long, conflicts_with_all = ["drain", "json"])]
    pub(crate) black_box: bool,
    /// JSON objects, one a line, as in a JSON log file, instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    /// Zone of the times, as in Europe/Berlin, UTC or +02:00 [default: that of the first log folder, else of this process]
    #[arg(long, value_name = "ZONE", value_parser = Zone::named)]
    pub(crate) time_zone: Option<Zone>,
    #[command(flatten)]
    pub(crate) rings: Rings,
    /// Log folders or ring files.
    #[arg(required = true, value_name = "FOLDER-or-FILE")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Show every ring of a log folder, and its flusher.
///
/// For each ring: its process and how it ended, how full it is, how many records it has had, how many of them were lost
/// or came late, how many are not in its log file yet (of a process that ended too) and how old the oldest of them is, what is
/// recorded, when the process began, its cgroup, which names the service or container, and its command. Exits with 0 if there
/// are rings, 1 if there are none, 3 if one cannot be read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lastwords status /var/log/app\n  lastwords status --json --dir /var/log/app")]
pub(crate) struct Status {
    /// One JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Refresh every second, until it is ended.
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) logs: Logs,
}

/// Check what a log folder and its processes need.
///
/// A line for each check: fine, warning or problem, what was found, and behind an arrow what to do about it. Folder, rights,
/// file system, free space, limits, shared memory, clock, namespaces, who flushes and how far it is behind, rings, losses, time
/// zone, and the settings in the environment of this command, as init would read them. Nothing is changed.
#[derive(Debug, Args)]
#[command(
    after_help = "Run by root in a folder of another user, it becomes that user for good.\n\nExit status: 0 all is fine, 1 there are \
                  warnings, 2 wrong usage, 3 there are problems.\n\nExamples:\n  lastwords doctor /var/log/app\n  \
                  lastwords doctor --json --dir /var/log/app\n  env $(cat app.env) lastwords doctor --role host"
)]
pub(crate) struct Doctor {
    /// One JSON object instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
    /// Role whose settings are examined [default: LASTWORDS_ROLE, else worker]
    #[arg(long)]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) logs: Logs,
}

/// Show or change what running processes write and record.
///
/// A change applies from the next record on, without a restart. A single argument is a role or a pid if a running process has
/// it, else a level or directives that are meant for all. Each change is a line in the log of the role. Exits with 0 if a
/// process was found, or something is kept for those that start later, else with 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lastwords level --dir /var/log/app                       show\n  \
                        lastwords level --dir /var/log/app debug                 all processes\n  \
                        lastwords level --dir /var/log/app worker info,hyper=warn\n  \
                        lastwords level --dir /var/log/app worker debug --for 10m\n  \
                        lastwords level --dir /var/log/app worker debug --keep   those that start later too\n  \
                        lastwords level --dir /var/log/app worker --reset\n  \
                        lastwords level --dir /var/log/app 4157 --ring-level trace   ring-only records as well")]
pub(crate) struct Level {
    /// Role or pid [default: all processes]
    #[arg(value_name = "ROLE|PID")]
    pub(crate) target: Option<String>,
    /// What is written to the log files from now on.
    #[arg(value_name = "DIRECTIVES")]
    pub(crate) directives: Option<String>,
    /// Only for this long, as in 90s, 10m or 2h; the flusher takes the change back.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "reset")]
    pub(crate) time: Option<Duration>,
    /// For processes of the role that start later too, overriding builder and environment, until --reset.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Back to what the processes were set up with, by builder, environment and configuration file; of a role, or of all, also
    /// for those that start later: nothing is kept any more.
    #[arg(long, conflicts_with_all = ["directives", "ring_level"])]
    pub(crate) reset: bool,
    /// What is recorded besides, in the ring alone: a level, or off.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) ring_level: Option<lastwords::Level>,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) rings: Rings,
}

/// Log each line of standard input.
///
/// The level is recognised: error:, WARNING, [debug], level=error, <3>, JSON, glog, PostgreSQL, behind colours too. The text
/// stays unchanged. Every line that was read is safe at once, whatever kills this process. Where the log cannot keep up it
/// waits, and so does the program before it. Ctrl-C is for that program: its remaining output is logged, and a second Ctrl-C
/// ends this one. SIGTERM and SIGHUP take what is in the pipe, for 2 s at most.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo build -vv 2>&1 | lastwords pipe --role build --dir logs\n  \
                        ./worker 2>&1 | lastwords pipe --role worker --tee\n  \
                        npm test 2>&1 | lastwords pipe --role test --strip-colour")]
pub(crate) struct Pipe {
    #[command(flatten)]
    pub(crate) lines: Lines,
}

/// How lines of another program are logged.
#[derive(Debug, Args)]
pub(crate) struct Lines {
    /// Role: the log file is ROLE.log [default: LASTWORDS_ROLE, else worker; run: else the program's name]
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// Level of lines without one.
    #[arg(long, default_value = "info")]
    pub(crate) level: lastwords::Level,
    /// Also copy the lines to where they would have gone without this.
    #[arg(long)]
    pub(crate) tee: bool,
    /// Leave terminal colours out of the log. The copy of --tee keeps them.
    #[arg(long, alias = "strip-color")]
    pub(crate) strip_colour: bool,
    /// What to do where the log cannot keep up and LASTWORDS_BACKLOG_MAX bytes (1 GiB) are kept beside the ring: wait for as
    /// long as it takes, block (for 100 ms, then overwrite the oldest), drop_newest, or overwrite. LASTWORDS_FULL_POLICY does
    /// not apply here.
    #[arg(long, default_value = "wait", value_name = "POLICY")]
    pub(crate) full_policy: PipePolicy,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Run a program, log what it prints, and how it ends.
///
/// Each line of its standard output and error becomes a record, at the level that it names itself, as for pipe. Signals are
/// passed on; those of the terminal reach the program without that. It stays in its process group, so job control works. When
/// it ends, the log has a line: exit status or signal, time, memory, and its last line; after a crash a crash file has the same
/// with all that it printed last. As pid 1 this reaps orphans too.
///
/// If this process is killed, all that it read is in the log, and the program meets SIGPIPE at its next write. A program that
/// prints to a pipe may hold lines back in a buffer of its own, which die with it: stdbuf -oL often helps.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: that of the program (128 and its number after a signal that cannot be repeated here), 125 if this \
                  fails itself, 126 if the program cannot be run, 127 if it is not found.\n\nExamples:\n  \
                  lastwords run --dir logs -- ./server --port 80\n  \
                  lastwords run --role worker --tee --restart on-failure -- python worker.py"
)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) lines: Lines,
    /// Level of lines of standard error without one.
    #[arg(long, default_value = "warning", value_name = "LEVEL")]
    pub(crate) stderr_level: lastwords::Level,
    /// Start it again when it ends by a signal or with a status other than 0: after 0.1 s, twice as long each time, a minute at
    /// most; at once 0.1 s again after it has run for a minute.
    #[arg(long, value_name = "WHEN")]
    pub(crate) restart: Option<Restart>,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

/// When a program is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Restart {
    /// When it did not end by itself with status 0.
    OnFailure,
}

/// What `lastwords pipe` does where the log cannot keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PipePolicy {
    /// It stops reading, for as long as it takes.
    Wait,
    /// The policy of a ring.
    Ring(FullPolicy),
}

impl FromStr for PipePolicy {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<PipePolicy, String> {
        match text {
            "wait" => Ok(PipePolicy::Wait),
            _ => text
                .parse()
                .map(PipePolicy::Ring)
                .map_err(|_| "expected wait, block, drop_newest or overwrite".to_owned()),
        }
    }
}

/// Show why processes died.
///
/// Lists the crash files of a log folder, newest first: the time of its last record, role and pid, the cause, and where it was.
/// With the number or the name of one it shows that file. Exits with 0 if there are any, 1 if there are none, or if --symbolise
/// could add nothing, 3 if one cannot be read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lastwords crashes /var/log/app          list\n  \
                        lastwords crashes /var/log/app 1        show the newest\n  \
                        lastwords crashes /var/log/app/worker-4157-20261124T133702Z.crash.log\n  \
                        lastwords crashes /var/log/app --json\n  \
                        lastwords crashes --symbolise /var/log/app/worker-4157-20261124T133702Z.crash.log")]
pub(crate) struct Crashes {
    /// JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show this crash file with functions, files and lines by the debug information that is here now: for a file that was
    /// written by a program's own flusher, or by the flusher of another user.
    #[arg(long, value_name = "FILE", conflicts_with = "words")]
    pub(crate) symbolise: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// The log folder, unless --dir names it, and the crash file to show: its number in the list, or its name. A crash file's
    /// path, or a number, alone will do too.
    #[arg(value_names = ["FOLDER", "NAME|N"], num_args = 0..=2)]
    words: Vec<PathBuf>,
}

impl Crashes {
    /// The folder of the crash files.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        match (&self.symbolise, &self.place.dir, &self.words[..]) {
            (Some(file), ..) => Ok(folder_of(file)),
            (None, None, [one]) if is_crash_file(one) => Ok(folder_of(one)),
            (None, None, [one]) if is_number(one) => self.place.path(),
            (None, None, [folder, ..]) => Ok(folder.clone()),
            _ => self.place.path(),
        }
    }

    /// The one that is to be shown.
    pub(crate) fn which(&self) -> Option<&Path> {
        match &self.words[..] {
            [one] if self.place.dir.is_none() && (is_crash_file(one) || is_number(one)) => Some(one),
            words => words.get(usize::from(self.place.dir.is_none())).map(PathBuf::as_path),
        }
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(".")
}

fn is_crash_file(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(CRASH_ENDING.as_bytes())
}

/// A number of the list, and no folder of that name.
fn is_number(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.parse::<usize>().is_ok()) && !path.exists()
}

/// Let processes die while they log, and count every line afterwards.
///
/// A host and three workers log as fast as they can. Then one is killed, one segfaults, one calls _exit, and the
/// process that flushes is killed. The rest is drained, every line of every file is checked, and a table says what was
/// found. Exits with 0 only if nothing is missing, torn or doubled, and every death left something to recover.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --remove the files stay where they are; they take at most 2 GiB.\n\nExamples:\n  lastwords demo\n  \
                        lastwords demo --seconds 10 --threads 4 --dir /var/tmp/demo"
)]
pub(crate) struct Demo {
    /// Seconds for which the processes log.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=3600))]
    pub(crate) seconds: u32,
    /// Threads that log, in each process.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=16))]
    pub(crate) threads: u32,
    /// Folder for all files, new or empty [default: a fresh one under the temporary folder]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// Remove all files at the end, if nothing was found missing.
    #[arg(long)]
    pub(crate) remove: bool,
    /// Where the rings are: files beside the logs, files in memory, or named shared memory.
    #[arg(long, default_value = "file")]
    pub(crate) memory: DemoMemory,
}

/// Where the rings of the demo are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoMemory {
    /// Files in the log folder.
    File,
    /// Files in a folder of /dev/shm.
    Tmpfs,
    /// Named shared memory.
    Shm,
}

/// A process of the demo.
#[derive(Debug, Args)]
pub(crate) struct DemoProcess {
    /// Role: the log file is ROLE.log.
    #[arg(long)]
    pub(crate) role: String,
    /// Log folder.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The page on which lines are acknowledged.
    #[arg(long)]
    pub(crate) oracle: PathBuf,
    /// Number that its lines carry.
    #[arg(long)]
    pub(crate) index: u32,
    /// Threads that log.
    #[arg(long, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub(crate) threads: u32,
    /// Bytes of lines after which it waits for its end.
    #[arg(long)]
    pub(crate) bytes: u64,
    /// How it ends.
    #[arg(long)]
    pub(crate) how: How,
    /// Folder of the rings.
    #[arg(long)]
    pub(crate) rings: PathBuf,
    /// The ring is named shared memory.
    #[arg(long)]
    pub(crate) shm: bool,
    /// Pid of the demo that started it.
    #[arg(long)]
    pub(crate) parent: u32,
}

/// How a process of the demo ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum How {
    /// It runs until it is killed.
    Run,
    /// By a segmentation fault.
    Segv,
    /// By _exit(2).
    Exit,
}

impl How {
    /// The option's value.
    pub(crate) fn name(self) -> &'static str {
        match self {
            How::Run => "run",
            How::Segv => "segv",
            How::Exit => "exit",
        }
    }
}

/// Write manual pages.
///
/// Without a folder, the page of lastwords itself goes to standard output. In a folder, which is made if it is not there, each
/// command gets a page of its own, lastwords-show.1 for instance, and their names are printed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lastwords man | man -l -\n  lastwords man ~/.local/share/man/man1\n  \
                        lastwords man \"$DESTDIR\"/usr/share/man/man1")]
pub(crate) struct ManPages {
    /// Folder for the pages of all commands.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

/// A time with its unit, a day at most.
fn duration(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || "expected a time as in 90s, 10m or 2h, a day at most".to_owned();
    let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let total = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    total.filter(|total| (1..=86_400).contains(total)).map(Duration::from_secs).ok_or_else(wrong)
}
