//! How cost grows: with threads, processes, message length, lanes, slots and record size.
//!
//! Five questions, a table each: what a call costs against threads (1) and processes (2), how fast lines reach their
//! files (3), what memory is taken (4), and all of that against the sizes that a user chooses (5). Each measurement
//! runs in processes of its own, which this program starts from itself with `--row`; the rounds are interleaved, and
//! medians are shown. After each one the lines in the files are counted: a missing one that no loss line explains ends
//! the benchmark.
//!
//! **More threads than cores cannot run at once.** A burst is therefore timed twice: with the thread's CPU clock, which stops
//! while the thread waits for a core, and with the wall clock, which does not. The first says what a call costs, sharing of
//! caches and lanes included; the second what a caller sees on this machine.
//!
//! `cargo bench --bench growth -- [--quick] [--rounds N] [--question N] [--svg FOLDER]`

/// The files of this benchmark, in `benches/growth/`.
mod growth {
    pub(crate) mod append;
    pub(crate) mod burst;
    pub(crate) mod case;
    pub(crate) mod chart;
    pub(crate) mod crew;
    pub(crate) mod drain;
    pub(crate) mod logs;
    pub(crate) mod member;
    pub(crate) mod memory;
    pub(crate) mod options;
    pub(crate) mod report;
    pub(crate) mod sample;
    pub(crate) mod scratch;
    pub(crate) mod sizes;
}

use growth::case::Case;
use growth::crew;
use growth::options::Options;
use growth::report::Report;
use growth::sample::Samples;
use growth::{append, chart, drain, member, memory, sizes};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// A question: the cases that answer it, and how they are shown.
struct Question {
    cases: fn(&Options) -> Vec<Case>,
    report: fn(&Options, &Samples) -> Report,
}

const QUESTIONS: [Question; 5] = [
    Question { cases: append::threads_cases, report: append::threads_report },
    Question { cases: append::processes_cases, report: append::processes_report },
    Question { cases: drain::cases, report: drain::report },
    Question { cases: memory::cases, report: memory::report },
    Question { cases: sizes::cases, report: sizes::report },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, case @ .., folder] = arguments.as_slice()
        && flag == "--row"
    {
        member::run(Case::from_words(case), Path::new(folder));
        return ExitCode::SUCCESS;
    }
    match Options::parse(&arguments, QUESTIONS.len()) {
        Ok(options) => answer(&options),
        Err(message) => {
            eprintln!("growth: {message}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn answer(options: &Options) {
    let asked =
        || QUESTIONS.iter().enumerate().filter(|(index, _)| options.asks(index + 1)).map(|(_, question)| question);
    if let Some(folder) = &options.svg {
        std::fs::create_dir_all(folder).expect("the folder for the curves");
    }
    let samples = measure(options, asked().flat_map(|question| (question.cases)(options)).collect());
    for question in asked() {
        let report = (question.report)(options, &samples);
        report.print();
        if let Some(folder) = &options.svg {
            chart::draw(&report.figure, folder);
        }
    }
}

/// Runs all cases in interleaved rounds. A case that two questions share runs once a round.
fn measure(options: &Options, mut cases: Vec<Case>) -> Samples {
    let mut seen = std::collections::HashSet::new();
    cases.retain(|case| seen.insert(*case));
    let mut samples = Samples::default();
    for round in 0..options.rounds {
        let start = Instant::now();
        let due = cases.iter().filter(|case| round == 0 || !case.is_settled_by_one_round());
        for case in due {
            samples.add(case, &crew::measure(case));
        }
        eprintln!("round {} of {} took {:.0} s", round + 1, options.rounds, start.elapsed().as_secs_f64());
    }
    samples
}
