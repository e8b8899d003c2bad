//! What recovery may show after a power loss, and what it must.

use crate::recording::{ROLE, Recording, THREADS, message};
use lastwords_flusher::render::escape::starts_like_a_record;
use lastwords_tests::oracle::parse;
use lastwords_tests::packing::texts;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The mark at the end of a truncated line.
const CUT_OFF: &str = " [lastwords: cut off here]";
/// Words of the lines that admit that something is missing.
const ADMISSIONS: [&str; 5] =
    ["lost, overwritten", "the machine stopped", "of its ring damaged", "lastwords: skipped: ", "are lost"];

/// What the log files show.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// How often each message is there, whole.
    pub(crate) counts: BTreeMap<(u32, u64), u64>,
    /// Lines of which a part is missing.
    pub(crate) cut: u64,
    /// Lines that admit that something is missing.
    pub(crate) admissions: u64,
    /// Pids of the lines.
    pub(crate) pids: Vec<u32>,
}

/// Judges one text as `message` of a record that is said to have been logged.
pub(crate) fn is_true(recording: &Recording, moment: usize, content: &str) -> Result<(u32, u64), String> {
    let first = content.lines().next().unwrap_or_default();
    let Some((1, thread, n)) = parse(first) else { return Err(format!("nobody logged {content:?}")) };
    let known = recording.logged.get(&(thread, n)).is_some_and(|at| *at <= moment);
    if !known && !is_in_flight(recording, moment, thread, n) {
        return Err(format!("it was not logged yet: {content:?}"));
    }
    let expected = message(thread, n);
    if content == expected { Ok((thread, n)) } else { Err(format!("torn: {content:?}, expected {expected:?}")) }
}

/// The call that had not returned yet at the moment of the crash.
fn is_in_flight(recording: &Recording, moment: usize, thread: u32, n: u64) -> bool {
    let done = recording.logged.iter().filter(|((of, _), at)| *of == thread && **at <= moment).count() as u64;
    n == done + 1
}

impl Shown {
    /// Reads the log files after the recovery of a crash at `moment`.
    pub(crate) fn read(recording: &Recording, moment: usize, folder: &Path) -> Result<Shown, String> {
        let mut shown = Shown::default();
        for text in texts(&folder.join(format!("{ROLE}.log"))).map_err(|error| error.to_string())? {
            shown.add_file(recording, moment, &text)?;
        }
        Ok(shown)
    }

    /// Like `read`, for JSON, where half a line is not an object.
    pub(crate) fn read_json(recording: &Recording, moment: usize, folder: &Path) -> Result<Shown, String> {
        let mut shown = Shown::default();
        for text in texts(&folder.join(format!("{ROLE}.jsonl"))).map_err(|error| error.to_string())? {
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                let Ok(object) = serde_json::from_slice::<Value>(line) else {
                    shown.cut += 1;
                    continue;
                };
                let text = |key: &str| object[key].as_str().ok_or_else(|| format!("no {key} in {object}"));
                let pid = object["pid"].as_u64().ok_or_else(|| format!("no pid in {object}"))? as u32;
                shown.add(recording, moment, (pid, text("level")?, text("message")?), false)?;
            }
        }
        Ok(shown)
    }

    fn add_file(&mut self, recording: &Recording, moment: usize, bytes: &[u8]) -> Result<(), String> {
        // A record, and whether something of it is known to be missing.
        let mut records: Vec<(String, bool)> = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = String::from_utf8(line.to_vec()).map_err(|_| format!("no UTF-8: {line:?}"))?;
            let (text, ended) = text.strip_suffix('\n').map_or((text.as_str(), false), |text| (text, true));
            let cut = text.contains('\0') || text.ends_with(CUT_OFF) || !ended;
            if starts_like_a_record(text.as_bytes()) || cut {
                records.push((text.to_owned(), cut));
            } else if let Some((last, _)) = records.last_mut() {
                last.push('\n');
                last.push_str(text);
            } else {
                return Err(format!("begins within a record: {text:?}"));
            }
        }
        self.cut += records.iter().filter(|(_, cut)| *cut).count() as u64;
        for (at, (record, _)) in records.iter().enumerate().filter(|(_, (_, cut))| !cut) {
            let next = records.get(at + 1);
            // The end of a further line does not show; that something is missing is logged where it would be.
            let admitted = next.is_none_or(|(text, cut)| *cut || text.contains("the machine stopped"));
            let (pid, rest) = record.get(25..).and_then(|rest| rest.split_once("] [")).ok_or("no head")?;
            let (level, content) = rest.split_once("] ").ok_or("no level")?;
            let pid = pid.parse().map_err(|_| format!("no pid: {record:?}"))?;
            self.add(recording, moment, (pid, level, content), admitted)?;
        }
        Ok(())
    }

    /// Judges a record, of which pid, level and message are known.
    fn add(
        &mut self,
        recording: &Recording,
        moment: usize,
        (pid, level, content): (u32, &str, &str),
        admitted: bool,
    ) -> Result<(), String> {
        if content.starts_with("lastwords: ") {
            self.admissions += u64::from(ADMISSIONS.iter().any(|words| content.contains(words)));
            return Ok(());
        }
        self.pids.push(pid);
        if level != "INFO" {
            return Err(format!("another level: {level:?} of {content:?}"));
        }
        match is_true(recording, moment, content) {
            Ok(id) => *self.counts.entry(id).or_default() += 1,
            Err(_) if is_first_line(content) && admitted => self.cut += 1,
            Err(why) => return Err(why),
        }
        Ok(())
    }

    /// Messages before the last one that is shown of its thread, which are not shown themselves.
    pub(crate) fn holes(&self) -> Vec<(u32, u64)> {
        let last = |thread| self.counts.keys().filter(|(of, _)| *of == thread).map(|(_, n)| *n).max().unwrap_or(0);
        let before = (0..THREADS).flat_map(|thread| (1..last(thread)).map(move |n| (thread, n)));
        before.filter(|id| !self.counts.contains_key(id)).collect()
    }
}

fn is_first_line(content: &str) -> bool {
    parse(content)
        .is_some_and(|(_, thread, n)| message(thread, n).split_once('\n').is_some_and(|(first, _)| first == content))
}
