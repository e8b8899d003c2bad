//! How a record is shown.

use super::arguments::Form;
use super::json_record::Json;
use super::role_log::Record;
use super::select::message_of;
use anstyle::{AnsiColor, Color, Effects, Style};
use lastwords_flusher::render::escape::escape;
use lastwords_flusher::render::json::readable;
use lastwords_flusher::render::timestamp::{Stamp, TIME};
use lastwords_ring::format::level::Level;
use lastwords_ring::place::zone::Zone;
use serde_json::json;
use std::io::Write;

/// Colours of processes, by pid.
const PROCESSES: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightYellow,
    AnsiColor::BrightGreen,
];

/// Makes what is printed of records.
#[derive(Debug)]
pub(crate) struct Output {
    form: Form,
    /// Times in UTC instead of as they are written.
    utc: Option<Stamp>,
    /// For a terminal: with colours if it has them, and with everything escaped that could drive it.
    terminal: Option<bool>,
    /// Times of text lines for JSON, in the zone of the folder.
    stamp: Stamp,
}

/// A record's parts as text.
struct Parts<'a> {
    time: Vec<u8>,
    pid: u32,
    level: Vec<u8>,
    message: std::borrow::Cow<'a, [u8]>,
}

impl Output {
    pub(crate) fn new(form: Form, utc: bool, zone: &Zone, terminal: Option<bool>) -> Output {
        let stamp = Stamp::new(if utc { Zone::utc() } else { zone.clone() });
        Output { form, utc: utc.then(|| Stamp::new(Zone::utc())), terminal, stamp }
    }

    /// Appends a record.
    #[inline]
    pub(crate) fn record(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        match (self.form, record.text) {
            (Form::Short, Some(text)) if self.utc.is_none() && self.terminal.is_none() && is_as_written(record) => {
                // With the end of a line that may be missing, so that a long record is not copied for it.
                out.reserve(text.len() + 1);
                out.extend_from_slice(text);
                end_line(out);
            }
            _ => self.made(out, record),
        }
    }

    fn made(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        let start = out.len();
        match self.form {
            Form::Json => self.json(out, record),
            Form::Cat => out.extend_from_slice(&message_of(record)),
            Form::Short | Form::Precise => self.line(out, record),
            Form::Verbose => {
                self.line(out, record);
                end_line(out);
                verbose(out, record);
            }
        }
        end_line(out);
        if self.terminal.is_some() && matches!(self.form, Form::Cat | Form::Json | Form::Verbose) {
            let text = out.split_off(start);
            escape(out, &text);
        }
    }

    fn line(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        // What no flusher wrote has no parts.
        if record.head.time_end == 0 {
            return self.push(out, &message_of(record));
        }
        let (parts, precise) = (self.parts(record), self.form != Form::Short);
        let colours = self.terminal == Some(true);
        out.extend_from_slice(&parts.time);
        if precise {
            out.push(b' ');
            out.extend_from_slice(record.role.as_bytes());
        }
        let process = PROCESSES[parts.pid as usize % PROCESSES.len()];
        let style = if colours { Style::new().fg_color(Some(Color::Ansi(process))) } else { Style::new() };
        let _ = write!(out, " {style}[{}]{style:#} ", parts.pid);
        let style = if colours { style_of(record.head.level) } else { Style::new() };
        let _ = write!(out, "{style}[");
        out.extend_from_slice(&parts.level);
        let _ = write!(out, "]{style:#} ");
        self.push(out, &parts.message);
    }

    fn push(&self, out: &mut Vec<u8>, text: &[u8]) {
        if self.terminal.is_some() { escape(out, text) } else { out.extend_from_slice(text) }
    }

    fn parts<'a>(&mut self, record: &Record<'a>) -> Parts<'a> {
        let head = &record.head;
        let level_at = head.level_at.0 as usize..head.level_at.1 as usize;
        let (time, level) = match (record.text, record.json) {
            (Some(text), json) => {
                // With nanoseconds where the same record has them.
                let exact = json.and_then(own_time).filter(|_| self.form != Form::Short);
                (exact.unwrap_or_else(|| self.time_of_text(&text[..head.time_end as usize])), text[level_at].to_vec())
            }
            (None, json) => {
                let line = json.unwrap_or_default();
                let mut time = own_time(line).unwrap_or_default();
                if self.form == Form::Short {
                    time.truncate(TIME);
                }
                (time, line[level_at].to_vec())
            }
        };
        let time = match &mut self.utc {
            None => time,
            Some(stamp) => {
                let digits = time.iter().skip(TIME - 3).take_while(|byte| byte.is_ascii_digit()).count();
                let mut shown = Vec::with_capacity(TIME + 6);
                stamp.date_time(head.ns, &mut shown);
                shown.truncate(TIME - 3);
                let _ = write!(shown, "{:09}", head.ns % 1_000_000_000);
                shown.truncate(TIME - 3 + digits.clamp(3, 9));
                shown
            }
        };
        Parts { time, pid: head.pid, level, message: message_of(record) }
    }

    /// The time of a text line, without its offset, in the short form without the digits that other layouts have.
    fn time_of_text(&self, time: &[u8]) -> Vec<u8> {
        let more = time.iter().skip(TIME).take_while(|byte| byte.is_ascii_digit()).count();
        let digits = if self.form == Form::Short { 0 } else { more };
        time[..TIME + digits].to_vec()
    }

    fn json(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        let head = &record.head;
        let Some(line) = record.json else { return self.json_of_text(out, record) };
        let (before, after) = match (&mut self.utc, own_time(line)) {
            (Some(_), Some(_)) => line.split_at("{\"time\":\"".len()),
            _ => return out.extend_from_slice(line),
        };
        out.extend_from_slice(before);
        self.stamp.rfc3339(head.ns, out);
        out.extend_from_slice(&after["2025-10-19T05:55:47.606123456+02:00".len()..]);
    }

    /// A text line as an object, with the members that can be told from it.
    fn json_of_text(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        let head = &record.head;
        let message = message_of(record);
        let message = json!(String::from_utf8_lossy(&message));
        if head.time_end == 0 {
            let _ = write!(out, "{{\"role\":{},\"message\":{message}}}", json!(record.role));
            return;
        }
        out.extend_from_slice(b"{\"time\":\"");
        self.stamp.rfc3339(head.ns, out);
        out.extend_from_slice(b"\",\"level\":");
        let text = record.text.unwrap_or_default();
        let level = &text[head.level_at.0 as usize..head.level_at.1 as usize];
        let _ = write!(out, "{}", json!(String::from_utf8_lossy(level)));
        if let Some(level) = head.level {
            let _ = write!(out, ",\"level_number\":{}", level.number());
        }
        let _ = write!(out, ",\"role\":{},\"pid\":{}", json!(record.role), head.pid);
        for (name, value) in members_of_columns(record) {
            let _ = write!(out, ",\"{name}\":{value}");
        }
        let _ = write!(out, ",\"message\":{message}}}");
    }
}

/// Whether a text record is shown as its line is: that has the default layout, or is none that a flusher wrote.
#[inline]
fn is_as_written(record: &Record<'_>) -> bool {
    record.head.time_end == 0 || record.head.is_default()
}

/// Time of a JSON line as a text line has it, with nanoseconds.
fn own_time(line: &[u8]) -> Option<Vec<u8>> {
    let time = line.strip_prefix(b"{\"time\":\"")?.get(.."2025-10-19T05:55:47.606123456".len())?;
    let mut time = time.to_vec();
    time[10] = b' ';
    Some(time)
}

/// The columns of a text record as the members that a JSON line has for them.
fn members_of_columns(record: &Record<'_>) -> Vec<(&'static str, serde_json::Value)> {
    let Some(columns) = record.text.and_then(|text| record.head.columns(text)) else { return Vec::new() };
    let text = |bytes: &[u8]| json!(readable(bytes));
    let members = [
        ("thread", json!(columns.thread), columns.thread > 0),
        ("thread_name", text(&columns.thread_name), !columns.thread_name.is_empty()),
        ("target", text(&columns.target), !columns.target.is_empty()),
        ("file", text(&columns.file), !columns.file.is_empty()),
        ("line", json!(columns.line), columns.line > 0),
    ];
    members.into_iter().filter(|(.., known)| *known).map(|(name, value, _)| (name, value)).collect()
}

/// All members of a JSON record that its line does not have already.
fn verbose(out: &mut Vec<u8>, record: &Record<'_>) {
    let Some(json) = record.json.and_then(Json::parse) else {
        for (name, value) in members_of_columns(record) {
            let _ = writeln!(out, "    {name} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        return;
    };
    for (name, value) in json.members() {
        match name.as_str() {
            "time" | "level" | "role" | "pid" | "message" | "exception" => {}
            "fields" => value.members().iter().for_each(|(key, value)| {
                let _ = writeln!(out, "    field {key} = {}", value.plain());
            }),
            "spans" => {
                let spans = if let Json::Array(spans) = value { spans.as_slice() } else { &[] };
                for span in spans {
                    let name = span.get("name").map(Json::plain).unwrap_or_default();
                    let _ =
                        writeln!(out, "    span {name} {}", span.get("fields").map(Json::plain).unwrap_or_default());
                }
            }
            _ => drop(writeln!(out, "    {name} = {}", value.plain())),
        }
    }
}

fn end_line(out: &mut Vec<u8>) {
    if !out.ends_with(b"\n") {
        out.push(b'\n');
    }
}

fn style_of(level: Option<Level>) -> Style {
    let colour = |colour| Style::new().fg_color(Some(Color::Ansi(colour)));
    match level {
        Some(level) if level >= Level::CRITICAL => colour(AnsiColor::Red).bold(),
        Some(level) if level >= Level::ERROR => colour(AnsiColor::Red),
        Some(level) if level >= Level::WARNING => colour(AnsiColor::Yellow),
        Some(level) if level < Level::INFO => Style::new().effects(Effects::DIMMED),
        _ => Style::new(),
    }
}
