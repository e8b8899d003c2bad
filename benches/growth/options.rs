//! What the command line asks for.

use std::path::PathBuf;

/// Rounds of a full run.
const ROUNDS: usize = 7;

/// The command line, read.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    /// A tenth of the calls: shows that everything works, not what it costs.
    pub(crate) quick: bool,
    pub(crate) svg: Option<PathBuf>,
    question: Option<usize>,
}

impl Options {
    /// Reads the arguments. Cargo adds `--bench`, which means nothing here.
    pub(crate) fn parse(arguments: &[String], questions: usize) -> Result<Options, String> {
        let (mut rounds, mut quick, mut svg, mut question) = (None, false, None, None);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} without its value"));
            match argument.as_str() {
                "--bench" => {}
                "--quick" => quick = true,
                "--rounds" => rounds = Some(number(argument, value()?, 1..=100)?),
                "--question" => question = Some(number(argument, value()?, 1..=questions)?),
                "--svg" => svg = Some(PathBuf::from(value()?)),
                other => return Err(format!("{other} found, expected --quick, --rounds, --question or --svg")),
            }
        }
        Ok(Options { rounds: rounds.unwrap_or(if quick { 1 } else { ROUNDS }), quick, svg, question })
    }

    /// Whether the question of this number, from 1, is asked.
    pub(crate) fn asks(&self, number: usize) -> bool {
        self.question.is_none_or(|only| only == number)
    }

    /// `full` calls or lines, or fewer where a quick look is enough.
    pub(crate) fn scaled(&self, full: u32) -> u32 {
        if self.quick { (full / 10).max(1) } else { full }
    }
}

fn number(name: &str, text: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize, String> {
    let fits = text.parse().ok().filter(|value| range.contains(value));
    fits.ok_or_else(|| format!("{name} {text} found, expected {} to {}", range.start(), range.end()))
}
