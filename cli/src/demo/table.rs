//! The demo's result: a row a process, and what it shows in one sentence.

use super::check::{Findings, Found};
use super::death::Ended;
use super::progress::grouped;
use anstyle::{AnsiColor, Color, Style};
use lastwords_ring::place::folder::Folder;
use std::fmt::Write;
use std::io;

const HEAD: Style = Style::new().bold();
const GOOD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new().bold().fg_color(Some(Color::Ansi(AnsiColor::Red)));
const TITLES: [&str; 10] =
    ["process", "pid", "ended by", "acknowledged", "found", "recovered", "missing", "torn", "doubled", "reported lost"];
/// Columns of words, which are aligned to the left.
const WORDS: [usize; 2] = [0, 2];

/// A cell, and whether its value is right, if it can be wrong.
type Cell = (String, Option<bool>);

/// The table and its verdict.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<[Cell; 10]>,
    pub(crate) success: bool,
    lines: u64,
    recovered: u64,
    more_than_acknowledged: u64,
}

impl Table {
    pub(crate) fn new(ended: &[Ended], findings: &Findings) -> Table {
        let rows: Vec<[Cell; 10]> =
            ended.iter().zip(&findings.processes).map(|(process, found)| row(process, found)).collect();
        let as_it_should_be = rows.iter().flatten().all(|(_, good)| *good != Some(false));
        let acknowledged: u64 = ended.iter().flat_map(|process| &process.acknowledged).sum();
        let found: u64 = findings.processes.iter().map(|found| found.lines).sum();
        Table {
            rows,
            success: as_it_should_be && findings.strangers == 0,
            lines: acknowledged,
            recovered: findings.processes.iter().filter_map(|found| found.recovered).sum(),
            more_than_acknowledged: found.saturating_sub(acknowledged),
        }
    }

    /// Prints table, sentence and place on standard output.
    pub(crate) fn print(&self, findings: &Findings, folder: &Folder) {
        let mut text = self.to_text();
        if self.more_than_acknowledged > 0 {
            let count = counted(self.more_than_acknowledged, "line");
            let _ = writeln!(
                text,
                "({count} more than acknowledged: the process died between the record and its acknowledgement)"
            );
        }
        let _ = writeln!(text, "\n{}\n", self.sentence(findings));
        let size = findings.bytes >> 20;
        let _ = writeln!(text, "Logs: {} ({} files, {size} MiB)", folder.path().display(), findings.files);
        for example in &findings.examples {
            let _ = writeln!(text, "wrong: {example}");
        }
        // An unread standard output does not change the exit status.
        let _ = io::Write::write_all(&mut anstream::stdout(), text.as_bytes());
    }

    fn to_text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].0.len());
            cells.max().unwrap_or(0).max(TITLES[column].len())
        };
        let mut text = String::from("\n");
        for (column, title) in TITLES.iter().enumerate() {
            push(&mut text, column, title, width(column), HEAD);
        }
        text.push('\n');
        for row in &self.rows {
            for (column, (cell, good)) in row.iter().enumerate() {
                let style = match good {
                    None => Style::new(),
                    Some(true) => GOOD,
                    Some(false) => BAD,
                };
                push(&mut text, column, cell, width(column), style);
            }
            text.push('\n');
        }
        text
    }

    /// What was shown, or not.
    fn sentence(&self, findings: &Findings) -> String {
        let (lines, recovered) = (grouped(self.lines), grouped(self.recovered));
        let processes = self.rows.len();
        if self.success {
            return format!(
                "{}Shown:{} all {lines} lines whose log call had returned are in the files, whole and once, although all \
                 {processes} processes died without warning, the flusher among them, and {recovered} of the lines were in \
                 no file at that time.",
                GOOD.render(),
                GOOD.render_reset()
            );
        }
        let strangers = match findings.strangers {
            0 => String::new(),
            count => format!(" {} that nobody logged.", counted(count, "line")),
        };
        format!(
            "{}Not shown:{} something above is not as it should be; missing, torn, doubled and lost should be 0, recovered \
             more.{strangers}",
            BAD.render(),
            BAD.render_reset()
        )
    }
}

fn row(process: &Ended, found: &Found) -> [Cell; 10] {
    let fact = |number: u64| (grouped(number), None);
    let zero = |number: u64| (grouped(number), Some(number == 0));
    let name = if process.index == 0 { process.role.to_owned() } else { format!("{} {}", process.role, process.index) };
    let recovered = found.recovered.map_or("no death line".to_owned(), grouped);
    [
        (name, None),
        (process.pid.to_string(), None),
        (process.ending.to_owned(), None),
        fact(process.acknowledged.iter().sum()),
        fact(found.lines),
        (recovered, Some(found.recovered.is_some_and(|recovered| recovered > 0))),
        zero(found.missing),
        zero(found.torn),
        zero(found.doubled),
        zero(found.lost),
    ]
}

fn push(text: &mut String, column: usize, cell: &str, width: usize, style: Style) {
    let gap = if column == 0 { "" } else { "  " };
    let (on, off) = (style.render(), style.render_reset());
    let _ = if WORDS.contains(&column) {
        write!(text, "{gap}{on}{cell:<width$}{off}")
    } else {
        write!(text, "{gap}{on}{cell:>width$}{off}")
    };
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{} {noun}s", grouped(count)) }
}
