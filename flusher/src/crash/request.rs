//! What a process that makes a report is asked, and what it answers: JSON, a line each.

use crate::crash::told::{Dead, DiedOf, Told};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

const DIED_OF: [(DiedOf, &str); 3] =
    [(DiedOf::Signal, "signal"), (DiedOf::Panic, "panic"), (DiedOf::Another, "another")];

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// What the capture of a dead process tells.
    Death(Dead),
    /// What a crash file with this beginning would say now.
    CrashFile(String),
}

impl Request {
    pub(crate) fn line(&self) -> String {
        let asked = match self {
            Request::Death(Dead { entry, pid, of }) => {
                let of = DIED_OF.iter().find(|(known, _)| known == of).map(|(_, name)| *name);
                json!({ "ring": entry.as_os_str().as_bytes(), "pid": pid, "died_of": of })
            }
            Request::CrashFile(text) => json!({ "crash_file": text }),
        };
        format!("{asked}\n")
    }

    /// None if it is none.
    pub(crate) fn parse(line: &str) -> Option<Request> {
        let asked: Value = serde_json::from_str(line).ok()?;
        if let Some(text) = asked["crash_file"].as_str() {
            return Some(Request::CrashFile(text.to_owned()));
        }
        let byte = |byte: &Value| byte.as_u64().and_then(|byte| u8::try_from(byte).ok());
        let entry = asked["ring"].as_array()?.iter().map(byte).collect::<Option<Vec<u8>>>()?;
        let (of, _) = DIED_OF.into_iter().find(|(_, name)| asked["died_of"] == *name)?;
        let pid = u32::try_from(asked["pid"].as_u64()?).ok()?;
        Some(Request::Death(Dead { entry: OsString::from_vec(entry).into(), pid, of }))
    }
}

/// The answer: what is told, or that there is nothing to tell.
pub(crate) fn answer(told: Option<&Told>) -> String {
    let told = told.map(|Told { below, members, part }| {
        let members: Value =
            serde_json::from_str(&format!("{{{}}}", members.trim_start_matches(','))).unwrap_or_default();
        json!({ "below": below, "members": members, "part": part })
    });
    format!("{}\n", told.unwrap_or_default())
}

/// An answer, if these bytes are one whose parts can be put where they belong.
pub(crate) fn answer_in(line: &[u8]) -> Option<Option<Told>> {
    let said: Value = serde_json::from_slice(line).ok()?;
    if said.is_null() {
        return Some(None);
    }
    let (below, part) = (said["below"].as_str()?, said["part"].as_str()?);
    let members = said["members"].as_object().filter(|members| !members.is_empty())?;
    let members = Value::Object(members.clone()).to_string();
    let members = format!(",{}", members.strip_prefix('{')?.strip_suffix('}')?);
    let is_below = below.strip_prefix('\n')?.split('\n').all(|line| line.starts_with("    "));
    (is_below && part.ends_with("\n\n")).then(|| Some(Told { below: below.to_owned(), members, part: part.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_answered_is_read_back() {
        let entry = OsString::from_vec(b"/var/log/\xff/rings/host.ring".to_vec()).into();
        for asked in [
            Request::Death(Dead { entry, pid: 4157, of: DiedOf::Panic }),
            Request::CrashFile("black box of host\n\u{1}".to_owned()),
        ] {
            assert_eq!(Request::parse(&asked.line()), Some(asked));
        }
        let told = Told {
            below: "\n    SIGSEGV\n    #0   main".to_owned(),
            members: ",\"cause\":\"SIGSEGV\",\"frames\":[{\"frame\":0}]".to_owned(),
            part: "cause        SIGSEGV\n\n".to_owned(),
        };
        for told in [None, Some(told)] {
            assert_eq!(answer_in(answer(told.as_ref()).as_bytes()), Some(told));
        }
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_one() {
        let whole = |below: &str, members: &str, part: &str| {
            format!("{{\"below\":{},\"members\":{members},\"part\":{}}}", json!(below), json!(part))
        };
        assert!(answer_in(whole("\n    a", "{\"cause\":1}", "b\n\n").as_bytes()).is_some());
        for line in [
            "",
            "[null]",
            "7",
            "{}",
            "{\"below\":",
            &whole("\n    a", "[]", "b\n\n"),
            &whole("\n    a", "{}", "b\n\n"),
            &whole("\n    a\n2026-11-28 a line of its own", "{\"cause\":1}", "b\n\n"),
            &whole("\n    a", "{\"cause\":1}", "b"),
        ] {
            assert_eq!(answer_in(line.as_bytes()), None, "{line}");
        }
        for line in ["", "{}", "{\"ring\":[1,300],\"pid\":1,\"died_of\":\"signal\"}", "{\"ring\":[1],\"pid\":1}"] {
            assert_eq!(Request::parse(line), None, "{line}");
        }
    }
}
