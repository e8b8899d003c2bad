//! The same four workloads on lastwords and on the loggers that one would otherwise pick: what a call costs its caller,
//! lines a second to the file from one thread and from four, and what is lost when the process is killed.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml` prints one Markdown table; `--help` says the rest.

mod cores;
mod crates;
mod kill;
mod latency;
mod lines;
mod median;
mod message;
mod peer;
mod plot;
mod probe;
mod quiet;
mod quill;
mod rounds;
mod row;
mod scratch;
mod table;
mod throughput;
mod version;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples, each after `cargo run --release --manifest-path benches/peers/Cargo.toml --`:
  --svg peers.svg > table.md
  --only lastwords,ticklog --rounds 1
  --dir /dev/shm --lines 1000000
  --quill ~/quill --only lastwords,quill

The table goes to standard output, progress to standard error. Exit status: 0 done, 1 something could not be measured, \
which is reported below the table, 2 wrong usage.";

/// Compares lastwords with other loggers: latency, throughput and lines lost at SIGKILL.
#[derive(Debug, Parser)]
#[command(name = "lastwords-peers", version, after_help = EXAMPLES)]
struct Cli {
    /// Rounds; each has every row once, in turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Bursts of 1,000 calls a round and message, in the latency workload.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    bursts: u64,
    /// Lines of a throughput run.
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    lines: u64,
    /// Kills of each row.
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// Only these rows, separated by commas.
    #[arg(long, value_name = "LOGGER,…", value_delimiter = ',', value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,
    /// Where the log files are made and removed; a temporary folder on disk unless said otherwise.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Headers of quill, a logger for C++: a clone of github.com/odygrd/quill. Its row is left out without them; it needs g++.
    #[arg(long, value_name = "DIR")]
    quill: Option<PathBuf>,
    /// Write a scatter plot of latency against lines lost to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// One measurement in this process; how the program starts itself.
    #[arg(long, hide = true, num_args = 1..)]
    row: Vec<String>,
}

/// All rows but the probe.
fn names() -> impl Iterator<Item = &'static str> {
    crates::NAMES.iter().copied().chain([quill::NAME])
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let cli = Cli::parse();
    if !cli.row.is_empty() {
        row::answer(&cli.row);
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = |name: &&str| cli.only.is_empty() || cli.only.iter().any(|only| only == name);
    let names: Vec<&'static str> = names().filter(wanted).collect();
    let amount = rounds::Amount { rounds: cli.rounds, bursts: cli.bursts, lines: cli.lines, kills: cli.kills };
    let base = cli.dir.unwrap_or_else(std::env::temp_dir);
    // Nothing is compiled for a row that is not wanted.
    let quill = names.contains(&quill::NAME).then(|| quill::Harness::build(cli.quill.as_deref(), &base));
    let asked_for_quill = cli.quill.is_some() || !cli.only.is_empty();
    let rows = row::Rows::new(&base, quill)?;
    if let Some(reason) = rows.left_out(quill::NAME) {
        eprintln!("{} is left out: {reason}", quill::NAME);
    }
    let measured = rounds::measure(&rows, &names, amount);
    print!("{}", table::render(&rows, &measured, amount));
    if let Some(path) = &cli.svg {
        plot::draw(path, &plot::points(&measured))?;
    }
    let failed = measured.iter().any(|(_, results)| !results.failures.is_empty())
        || (asked_for_quill && rows.left_out(quill::NAME).is_some());
    Ok(ExitCode::from(u8::from(failed)))
}
