//! The level of a line that some other program printed.

use crate::colour::without_colours;
use lastwords::Level;
use serde_json::Value;

/// Bytes at a line's start within which a level is looked for: room for a time stamp before it.
const LOOK: usize = 64;
/// Like [`LOOK`], if the level has a name before it, as in `level=error`, or an unambiguous form.
const LOOK_FAR: usize = 512;
/// A longer JSON line is not taken apart.
const JSON_MAX: usize = 256 << 10;

const WORDS: [(&str, Level); 20] = [
    ("critical", Level::CRITICAL),
    ("crit", Level::CRITICAL),
    ("fatal", Level::CRITICAL),
    ("panic", Level::CRITICAL),
    ("emergency", Level::CRITICAL),
    ("emerg", Level::CRITICAL),
    ("alert", Level::CRITICAL),
    ("error", Level::ERROR),
    ("err", Level::ERROR),
    ("severe", Level::ERROR),
    ("warning", Level::WARNING),
    ("warn", Level::WARNING),
    ("info", Level::INFO),
    ("information", Level::INFO),
    ("notice", Level::INFO),
    ("note", Level::INFO),
    ("debug", Level::DEBUG),
    ("verbose", Level::DEBUG),
    ("dbg", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// Names of the field that holds the level, in JSON and in `name=value`.
const FIELDS: [&str; 8] =
    ["level", "severity", "lvl", "levelname", "loglevel", "log.level", "severity_text", "SeverityText"];

fn named(word: &[u8]) -> Option<Level> {
    WORDS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// The level of syslog(3)'s number.
fn of_syslog(number: u64) -> Level {
    match number & 7 {
        0..=2 => Level::CRITICAL,
        3 => Level::ERROR,
        4 => Level::WARNING,
        5 | 6 => Level::INFO,
        _ => Level::DEBUG,
    }
}

/// Recognises the level of a line: `<3>…` of syslog and journald, JSON with a field for it, `level=error`, glog, PostgreSQL, and
/// what [`prefixed`] does; behind colours too.
pub(crate) fn guess_level(line: &[u8]) -> Option<Level> {
    if line.starts_with(b"{") && line.len() <= JSON_MAX {
        return in_json(line);
    }
    let start = without_colours(&line[..line.len().min(LOOK_FAR)]);
    let start = start.trim_ascii_start();
    syslog(start)
        .or_else(|| glog(start))
        .or_else(|| postgresql(start))
        .or_else(|| prefixed(start))
        .or_else(|| assigned(start))
}

/// `<3>text`: a priority, with a facility as well.
fn syslog(line: &[u8]) -> Option<Level> {
    let rest = line.strip_prefix(b"<")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number: u64 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    (digits <= 3 && rest.get(digits) == Some(&b'>') && number < 192).then(|| of_syslog(number))
}

/// `E0425 12:00:00.123456 1 a.cc:1] text`.
fn glog(line: &[u8]) -> Option<Level> {
    let level = match line.first()? {
        b'F' => Level::CRITICAL,
        b'E' => Level::ERROR,
        b'W' => Level::WARNING,
        b'I' => Level::INFO,
        b'D' | b'V' => Level::DEBUG,
        _ => return None,
    };
    let digits = line[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let time = line.get(digits + 2..digits + 10)?;
    let is_time =
        time.iter().enumerate().all(|(n, byte)| if n % 3 == 2 { *byte == b':' } else { byte.is_ascii_digit() });
    // Four digits of month and day, or eight where the year is shown.
    (matches!(digits, 4 | 8) && line[digits + 1] == b' ' && is_time).then_some(level)
}

/// `2025-10-19 05:55:47.606 UTC [4157] user@db ERROR:  text`: whatever the prefix is set to, two spaces follow the colon.
fn postgresql(line: &[u8]) -> Option<Level> {
    const MARKS: [(&[u8], Level); 8] = [
        (b"PANIC:  ", Level::CRITICAL),
        (b"FATAL:  ", Level::CRITICAL),
        (b"ERROR:  ", Level::ERROR),
        (b"WARNING:  ", Level::WARNING),
        (b"NOTICE:  ", Level::INFO),
        (b"INFO:  ", Level::INFO),
        (b"LOG:  ", Level::INFO),
        (b"STATEMENT:  ", Level::INFO),
    ];
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let found =
        |mark: &[u8]| line.windows(mark.len() + 1).position(|part| &part[1..] == mark && b" ]\t:".contains(&part[0]));
    MARKS
        .iter()
        .filter_map(|(mark, level)| found(mark).map(|at| (at, *level)))
        .min_by_key(|(at, _)| *at)
        .map(|(_, level)| level)
}

/// `time=… level=error msg=…`, also with quotes.
fn assigned(line: &[u8]) -> Option<Level> {
    line.split(|byte| byte.is_ascii_whitespace() || *byte == b',').find_map(|word| {
        let at = word.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&word[..at], word[at + 1..].trim_ascii());
        let is_level = FIELDS.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(name));
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        is_level.then(|| named(value)).flatten()
    })
}

/// The level in a JSON object: a name, or a number, of syslog's scale up to 7, else of the one of pino and bunyan.
fn in_json(line: &[u8]) -> Option<Level> {
    let object: Value = serde_json::from_slice(line).ok()?;
    let nested = object.get("log").and_then(|log| log.get("level"));
    let fields = FIELDS.iter().chain(&["PRIORITY", "levelno"]).filter_map(|field| object.get(field));
    fields.chain(nested).find_map(|value| match value {
        Value::String(text) => named(text.as_bytes()).or_else(|| text.parse().ok().map(of_syslog)),
        Value::Number(number) => match number.as_u64()? {
            number @ 0..=7 => Some(of_syslog(number)),
            60.. => Some(Level::CRITICAL),
            50.. => Some(if object.get("levelno").is_some() { Level::CRITICAL } else { Level::ERROR }),
            40.. => Some(if object.get("levelno").is_some() { Level::ERROR } else { Level::WARNING }),
            30.. => Some(if object.get("levelno").is_some() { Level::WARNING } else { Level::INFO }),
            20.. => Some(if object.get("levelno").is_some() { Level::INFO } else { Level::DEBUG }),
            _ => Some(Level::TRACE),
        },
        _ => None,
    })
}

/// Recognises `error: …`, `error[E0425]: …`, `WARNING …`, `[debug] …`, `<warn> …`, also behind a time stamp: words
/// before the level may contain digits and punctuation only, or stand in brackets behind the time.
fn prefixed(line: &[u8]) -> Option<Level> {
    let (start, mut timed) = (&line[..line.len().min(LOOK)], false);
    for word in start.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()) {
        let bracketed = matches!(word[0], b'[' | b'<' | b'(');
        let whole = bracketed && word.ends_with(b"]");
        let word = without_brackets(word);
        let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (name, rest) = word.split_at(letters);
        if let Some(level) = named(name) {
            let upper = name.iter().all(u8::is_ascii_uppercase);
            // A plain lower-case word may be prose: "error handling"; a mark or capitals make it a level.
            let marked = rest.first().is_some_and(|mark| b":]>)[|".contains(mark));
            return (upper || marked || bracketed).then_some(level);
        }
        if letters > 0 && !is_time(word) && !(timed && whole) {
            return None;
        }
        timed = timed || word.iter().any(u8::is_ascii_digit);
    }
    None
}

/// Whether a word may be part of a time stamp: it has digits, and letters only as in `2025-10-19T05:55:47Z`.
fn is_time(word: &[u8]) -> bool {
    word.iter().any(u8::is_ascii_digit) && word.iter().all(|byte| byte.is_ascii_digit() || b"TZ:-+./,]".contains(byte))
}

fn without_brackets(word: &[u8]) -> &[u8] {
    let start = word.iter().position(|byte| !b"[<(".contains(byte)).unwrap_or(word.len());
    &word[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_prefixes_are_recognised() {
        for (line, level) in [
            ("error: could not compile", Level::ERROR),
            ("error[E0425]: cannot find value", Level::ERROR),
            ("warning: unused variable", Level::WARNING),
            ("WARN something", Level::WARNING),
            ("[DEBUG] value", Level::DEBUG),
            ("<info> started", Level::INFO),
            ("2025-10-19T05:55:47Z ERROR db: lost", Level::ERROR),
            ("2025-10-19 05:55:47,123 CRITICAL end", Level::CRITICAL),
            ("2025-10-19 05:55:47,123 [main] ERROR com.x - y", Level::ERROR),
            ("[2025-10-19 05:55:47 +0000] [4157] [ERROR] Exception in worker process", Level::ERROR),
            ("[05:55:47] [trace] x", Level::TRACE),
            ("FATAL: no space", Level::CRITICAL),
            ("ERROR:root:x", Level::ERROR),
        ] {
            assert_eq!(guess_level(line.as_bytes()), Some(level), "{line}");
        }
    }

    #[test]
    fn forms_of_other_programs_are_recognised() {
        for (line, level) in [
            ("\x1b[31mERROR\x1b[0m x", Level::ERROR),
            ("\x1b[2m2025-10-19T05:55:47Z\x1b[0m \x1b[31mERROR\x1b[0m app: x", Level::ERROR),
            ("<3>y", Level::ERROR),
            ("<0>kernel", Level::CRITICAL),
            ("<165>1 2003-10-11T22:14:15Z host app - ID47 - x", Level::INFO),
            ("{\"level\":\"error\",\"msg\":\"z\"}", Level::ERROR),
            ("{\"level\":50,\"time\":1,\"msg\":\"pino\"}", Level::ERROR),
            ("{\"levelno\":40,\"msg\":\"Python\"}", Level::ERROR),
            ("{\"log\":{\"level\":\"warn\"}}", Level::WARNING),
            ("{\"log.level\":\"FATAL\"}", Level::CRITICAL),
            ("{\"PRIORITY\":\"3\",\"MESSAGE\":\"x\"}", Level::ERROR),
            ("level=error m=1", Level::ERROR),
            ("time=\"2025-10-19T05:55:47Z\" level=warning msg=\"x\"", Level::WARNING),
            ("ts=1 lvl=\"crit\" x=y", Level::CRITICAL),
            ("E0425 12:00:00 1 a.cc:1] q", Level::ERROR),
            ("W20251019 05:55:47.123456 4157 a.cc:1] q", Level::WARNING),
            ("2025-10-19 05:55:47.606 UTC [4157] ada@db ERROR:  relation \"x\" does not exist", Level::ERROR),
            ("2025-10-19 05:55:47.606 CEST [4157] LOG:  database system is ready", Level::INFO),
            ("2025-10-19 05:55:47.606 UTC [1] STATEMENT:  select 'ERROR:  '", Level::INFO),
        ] {
            assert_eq!(guess_level(line.as_bytes()), Some(level), "{line}");
        }
    }

    #[test]
    fn prose_has_no_level() {
        for line in [
            "",
            "error handling is fun",
            "   Compiling info v1.0",
            "note to self",
            "the error: x",
            "\u{1f980} x",
            "<3 you",
            "<999>x",
            "{\"msg\":\"error\"}",
            "{ not JSON, error: x",
            "E0425 is an error number",
            "levels=error",
            "level=unknown",
        ] {
            assert_eq!(guess_level(line.as_bytes()), None, "{line}");
        }
    }
}
