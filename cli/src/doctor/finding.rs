//! What a check has found, and how it is shown.

use crate::exit::{ERROR, Exit};
use anstyle::{AnsiColor, Color, Style};
use lastwords_ring::format::text::{escaped, escaped_json};
use serde_json::{Value, json};
use std::fmt::Display;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// Nothing to do.
    Fine,
    /// It works, but something is lost, missing or slow, or will be.
    Warning,
    /// Nothing is logged, or what was logged is not read.
    Problem,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Fine => "fine",
            State::Warning => "warning",
            State::Problem => "problem",
        }
    }

    fn style(self) -> Style {
        let coloured = |colour| Style::new().fg_color(Some(Color::Ansi(colour)));
        match self {
            State::Fine => coloured(AnsiColor::Green),
            State::Warning => coloured(AnsiColor::Yellow),
            State::Problem => ERROR,
        }
    }
}

/// What one check has found.
#[derive(Debug)]
struct Finding {
    state: State,
    check: &'static str,
    found: String,
    remedy: Option<String>,
}

/// All that was found, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn fine(&mut self, check: &'static str, found: impl Display) {
        self.0.push(Finding { state: State::Fine, check, found: found.to_string(), remedy: None });
    }

    pub(super) fn warning(&mut self, check: &'static str, found: impl Display, remedy: impl Display) {
        self.add(State::Warning, check, found, remedy);
    }

    pub(super) fn problem(&mut self, check: &'static str, found: impl Display, remedy: impl Display) {
        self.add(State::Problem, check, found, remedy);
    }

    pub(super) fn add(&mut self, state: State, check: &'static str, found: impl Display, remedy: impl Display) {
        self.0.push(Finding { state, check, found: found.to_string(), remedy: Some(remedy.to_string()) });
    }

    /// A problem with the text of an error. Ours say what was found, then, behind a semicolon, what to do; `remedy` is for
    /// those that do not.
    pub(super) fn refused(&mut self, check: &'static str, error: &impl Display, remedy: &str) {
        let text = error.to_string();
        let (found, remedy) = text.split_once("; ").unwrap_or((&text, remedy));
        self.problem(check, found, remedy);
    }

    fn worst(&self) -> State {
        self.0.iter().map(|finding| finding.state).max().unwrap_or(State::Fine)
    }

    pub(super) fn exit(&self) -> Exit {
        match self.worst() {
            State::Fine => Exit::Done,
            State::Warning => Exit::Warned,
            State::Problem => Exit::Damaged,
        }
    }

    /// A line for each finding, coloured; whoever prints it leaves the colours out where they do not belong.
    pub(super) fn text(&self) -> String {
        let line = |finding: &Finding| {
            let Finding { state, check, found, remedy } = finding;
            let (style, name, found) = (state.style(), state.name(), escaped(found));
            let remedy = remedy.as_ref().map_or_else(String::new, |remedy| format!(" -> {}", escaped(remedy)));
            format!(
                "{style}{name}{style:#}{:width$}  {check}: {found}{remedy}\n",
                "",
                width = "problem".len() - name.len()
            )
        };
        self.0.iter().map(line).collect()
    }

    /// The object of `--json`, with the folder that was meant.
    pub(super) fn json(&self, folder: &str, role: &str) -> String {
        let finding = |finding: &Finding| {
            let Finding { state, check, found, remedy } = finding;
            json!({ "check": check, "state": state.name(), "found": found, "remedy": remedy })
        };
        let findings: Vec<Value> = self.0.iter().map(finding).collect();
        let all = json!({ "folder": folder, "role": role, "state": self.worst().name(), "findings": findings });
        escaped_json(&all.to_string()) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_and_an_error_is_taken_apart() {
        let mut report = Report::default();
        assert_eq!(report.exit(), Exit::Done);
        report.fine("clock", "good");
        assert_eq!(report.exit(), Exit::Done);
        report.warning("flusher", "nobody\nflushes", "start one");
        assert_eq!(report.exit(), Exit::Warned);
        report.refused("folder", &"it is a link; name another; or none", "unused");
        report.refused("folder", &"it is no folder", "name another");
        assert_eq!(report.exit(), Exit::Damaged);
        let text = anstream::adapter::strip_str(&report.text()).to_string();
        let expected = [
            "fine     clock: good",
            "warning  flusher: nobody\\u{a}flushes -> start one",
            "problem  folder: it is a link -> name another; or none",
            "problem  folder: it is no folder -> name another",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
