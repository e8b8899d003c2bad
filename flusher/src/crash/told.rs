//! What a capture tells, in the forms that a log and a crash file have it in.

use std::path::PathBuf;

/// What the capture of a dead process tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Further lines of the death line: the cause, and the frames of the crashed thread.
    pub below: String,
    /// Members of the same line in JSON, each with a comma before it.
    pub members: String,
    /// The part of the crash file.
    pub part: String,
}

impl Told {
    /// What a capture tells, if there is one, and evidence: a member in JSON, and further lines of the crash file's head.
    pub(crate) fn with_evidence(capture: Option<Told>, member: &str, head: &str) -> Told {
        let nothing = || Told { part: "\n".to_owned(), ..Told::default() };
        let Told { below, members, part } = capture.unwrap_or_else(nothing);
        Told { below, members: members + member, part: head.to_owned() + &part }
    }
}

/// What a process died of, as far as that concerns its capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiedOf {
    /// A fatal signal.
    Signal,
    /// A panic of its main thread.
    Panic,
    /// Something that leaves no capture, or that is not known.
    Another,
}

/// A dead process, as far as that concerns its capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dead {
    /// The entry of its ring, with the files beside it.
    pub(crate) entry: PathBuf,
    /// Its pid.
    pub(crate) pid: u32,
    /// What it died of.
    pub(crate) of: DiedOf,
}
