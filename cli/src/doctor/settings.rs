//! Settings of this environment: the variables, and the file that `LASTWORDS_CONFIG` names.

use super::finding::Report;
use lastwords::__private::{Examined, Requested, RustLog};

const CHECK: &str = "settings";

/// Says what is wrong with them, and returns what they request, if `init` would accept them.
pub(super) fn examine(examined: Examined, report: &mut Report) -> Option<Requested> {
    let Examined { unknown, requested } = examined;
    let mut faultless = unknown.is_empty();
    for (variable, likely) in unknown {
        let remedy = match likely {
            Some(likely) => format!("did you mean {likely}?"),
            None => "unset it; docs/settings.md has all that there are".to_owned(),
        };
        report.warning(CHECK, format_args!("{variable} is not a setting and is ignored"), remedy);
    }
    match requested {
        Err(error) => {
            report.refused(CHECK, &error, "correct it, or leave it out; until then init fails and nothing is logged");
            None
        }
        Ok(requested) => {
            for idle in &requested.idle {
                report.warning(CHECK, format_args!("{}: {}", idle.setting, idle.why), idle.remedy);
                faultless = false;
            }
            faultless &= rust_log(&requested, report);
            if faultless {
                report.fine(CHECK, "variables and LASTWORDS_CONFIG are accepted by init");
            }
            Some(requested)
        }
    }
}

/// Says what becomes of `RUST_LOG`; false if it has no effect.
fn rust_log(requested: &Requested, report: &mut Report) -> bool {
    match &requested.rust_log {
        None => true,
        Some(RustLog::Heeded(directives)) => {
            report.fine(CHECK, format_args!("in a Rust program RUST_LOG says what is written: {directives}"));
            true
        }
        Some(RustLog::Overruled(by)) => {
            let what = format!("RUST_LOG is not heeded, because {by} says what is written");
            report.warning(CHECK, what, "say it in one of the two, or unset RUST_LOG where no other library needs it");
            false
        }
        Some(RustLog::Refused(why)) => {
            let what = format!("RUST_LOG is not heeded: {why}");
            report.warning(CHECK, what, "correct it, or say it in LASTWORDS_LOG, as in info,hyper=warn");
            false
        }
    }
}
