//! What a capture tells, in the forms that a log and a crash file have it in.

use std::ffi::OsString;
use std::path::Path;

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

/// Who reads captures.
#[derive(Debug, Clone, Default)]
#[cfg_attr(not(feature = "stacks"), expect(dead_code, reason = "only a stack is looked at by another process"))]
pub struct Teller {
    /// How to start the process that reads debug information; empty for none.
    program: Vec<OsString>,
}

impl Teller {
    /// One that has debug information read by a process which is started in this way.
    #[must_use]
    pub fn with(program: Vec<OsString>) -> Teller {
        Teller { program }
    }

    /// What the capture of the ring with this entry tells; None if its process left none, or cannot have, or one of a panic
    /// that was caught. A signal that it did not end by is told as that: an earlier handler may have left it by siglongjmp
    /// long ago, or ended the process for it in another way.
    #[cfg(feature = "stacks")]
    pub(crate) fn tell(&self, entry: &Path, pid: u32, of: DiedOf) -> Option<Told> {
        use crate::crash::report::{Reading, Report};
        use crate::crash::worker::Worker;
        use crate::crash::{json, text, traceback};
        use lastwords_ring::place::crash_notes;
        use lastwords_ring::place::open;
        use lastwords_ring::read::capture;

        // What cannot be read is as if it was never written: the rest of the death is told all the same.
        let capture = capture::read(entry).ok().flatten()?;
        if capture.is_panic() && of != DiedOf::Panic {
            return None;
        }
        let may_open = open::look(entry).is_ok_and(|ring| ring.st_uid == rustix::process::geteuid().as_raw());
        let worker = self.program.split_first().map(|(program, first)| Worker::new(program, first));
        let mut report = Report::of(&capture, pid, Reading { may_open, worker: worker.as_ref() });
        if let (Some(crashed), Ok(Some(attached))) = (report.stacks.first_mut(), crash_notes::read(entry)) {
            crashed.python = traceback::of_crashed_thread(&attached.text);
        }
        if !capture.is_panic() && of != DiedOf::Signal {
            report.cause = format!("an earlier signal, which the process may have survived: {}", report.cause);
        }
        let members = json::of_death_line(&report);
        Some(Told { below: text::below_death_line(&report), members, part: text::of_crash_file(&report) })
    }

    /// Nothing: stacks are not read here.
    #[cfg(not(feature = "stacks"))]
    pub(crate) fn tell(&self, _: &Path, _: u32, _: DiedOf) -> Option<Told> {
        None
    }
}
