//! From the entry of a dead process's ring to what its capture tells.

use crate::crash::json;
use crate::crash::modules::Files;
use crate::crash::report::{Reading, Report};
use crate::crash::told::{Dead, DiedOf, Told};
use crate::crash::{text, traceback};
use lastwords_ring::format::capture::Capture;
use lastwords_ring::place::{crash_notes, open};
use lastwords_ring::read::capture;
use std::io;

impl Dead {
    /// Whether there may be something to report. The file for a capture is there since the process began, and empty where it died of
    /// something else.
    pub(crate) fn has_report(&self) -> bool {
        self.capture().is_ok_and(|capture| capture.is_some())
    }

    /// The capture; None if its process left none, or cannot have, or one of a panic that was caught.
    fn capture(&self) -> io::Result<Option<Capture>> {
        let capture = capture::read(&self.entry)?;
        Ok(capture.filter(|capture| !capture.is_panic() || self.of == DiedOf::Panic))
    }

    /// Its files are opened if whoever flushes is its user: nobody could be made to read what is not theirs.
    pub(crate) fn files(&self) -> Files {
        let is_ours = open::look(&self.entry).is_ok_and(|ring| ring.st_uid == rustix::process::geteuid().as_raw());
        if is_ours { Files::Opened } else { Files::Foreign }
    }

    /// The report; None if there is no capture of its end. A signal that it did not end by is told as that: an earlier handler may
    /// have left it by siglongjmp long ago, or ended the process for it in another way.
    ///
    /// # Errors
    /// If the capture cannot be read.
    pub(crate) fn report(&self, reading: &Reading) -> io::Result<Option<Report>> {
        let Some(capture) = self.capture()? else { return Ok(None) };
        let mut report = Report::of(&capture, self.pid, reading);
        if let (Some(crashed), Ok(Some(attached))) = (report.stacks.first_mut(), crash_notes::read(&self.entry)) {
            crashed.python = traceback::of_crashed_thread(&attached.text);
        }
        if !capture.is_panic() && self.of != DiedOf::Signal {
            report.cause = format!("an earlier signal, which the process may have survived: {}", report.cause);
        }
        Ok(Some(report))
    }
}

impl Told {
    /// What a report says.
    pub(crate) fn of(report: &Report) -> Told {
        let members = json::of_death_line(report);
        Told { below: text::below_death_line(report), members, part: text::of_crash_file(report) }
    }

    /// The same, with one more note in the crash file.
    pub(crate) fn with_note(self, note: &str) -> Told {
        Told { part: text::with_note(&self.part, note), ..self }
    }
}
