//! Who reads the captures of processes that died.
//!
//! The tool has it done by a process of its own, and goes on meanwhile: the files are those of a program that has just crashed, of any
//! size and in any state, and reading them takes a tenth of a second or many. A program that embeds the flusher cannot be started
//! in this way, and forking a process with threads leaves a child that may not even allocate. Such a flusher makes the report
//! itself, within a [budget](crate::crash::budget), and names functions by the tables of symbols;
//! `lastwords crashes --symbolise` adds the rest later.

use crate::crash::told::{Dead, Told};
#[cfg(feature = "stacks")]
use crate::crash::{modules::Files, report::Reading, request::Request, worker::Answer, worker::Worker};
use std::ffi::OsString;
use std::os::fd::BorrowedFd;

/// Who reads captures.
#[derive(Debug, Clone, Default)]
pub struct Teller {
    /// How to start the process that makes reports; empty for none.
    #[cfg_attr(not(feature = "stacks"), expect(dead_code, reason = "captures are not read here"))]
    program: Vec<OsString>,
}

/// How far the telling of a death is.
#[derive(Debug, Default)]
pub(crate) enum Telling {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// There is a capture, of which a process is to make the report.
    #[cfg(feature = "stacks")]
    Queued(Dead),
    /// A process makes the report.
    #[cfg(feature = "stacks")]
    Asked(Dead, Worker),
    /// What its capture tells, if there is one.
    Told(Option<Told>),
}

impl Teller {
    /// One that has reports made by a process which is started in this way.
    #[must_use]
    pub fn with(program: Vec<OsString>) -> Teller {
        Teller { program }
    }

    /// Whether reports are made by a process of their own.
    #[cfg(feature = "stacks")]
    pub(crate) fn is_separate(&self) -> bool {
        !self.program.is_empty()
    }

    /// What the capture tells, at once.
    #[cfg(feature = "stacks")]
    pub(crate) fn tell(&self, dead: Dead) -> Option<Told> {
        if !self.is_separate() {
            // What cannot be read is as if it was never written: the rest of the death is told all the same.
            let reading = Reading { files: dead.files(), ..Reading::default() };
            return dead.report(&reading).ok().flatten().map(|report| Told::of(&report));
        }
        if !dead.has_report() {
            return None;
        }
        match Worker::start(&self.program, &Request::Death(dead.clone())) {
            Ok(worker) => concluded(&dead, worker.wait()),
            Err(error) => told_here(&dead, &error.to_string()),
        }
    }

    /// What the part of a crash file with this beginning, of which it is the end, says with what files say that are there now.
    ///
    /// # Errors
    /// Why nobody has answered.
    #[cfg(feature = "stacks")]
    pub fn look_again(&self, crash_file: &str) -> Result<String, String> {
        let request = Request::CrashFile(crash_file.to_owned());
        let answer = Worker::start(&self.program, &request).map_err(|error| error.to_string())?.wait();
        match (answer.told.flatten(), answer.failure) {
            (Some(told), None) => Ok(told.part),
            (Some(told), Some(why)) => Ok(told.with_note(&unread(&why)).part),
            (None, failure) => Err(failure.unwrap_or_else(|| "there is no answer".to_owned())),
        }
    }

    /// They are not: none are made.
    #[cfg(not(feature = "stacks"))]
    pub(crate) fn is_separate(&self) -> bool {
        false
    }

    /// Nothing: captures are not read here.
    #[cfg(not(feature = "stacks"))]
    pub(crate) fn tell(&self, _: Dead) -> Option<Told> {
        None
    }
}

impl Telling {
    /// Whether it is known what there is to tell.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Telling::Told(_))
    }

    /// Whether a process makes the report.
    pub(crate) fn is_asked(&self) -> bool {
        match self {
            #[cfg(feature = "stacks")]
            Telling::Asked(..) => true,
            _ => false,
        }
    }

    /// Takes the answer of that process, if it is there.
    pub(crate) fn look(&mut self) {
        #[cfg(feature = "stacks")]
        if let Telling::Asked(dead, worker) = self
            && let Some(answer) = worker.look()
        {
            *self = Telling::Told(concluded(dead, answer));
        }
    }

    /// What becomes ready when that process says something.
    pub(crate) fn output(&self) -> Option<BorrowedFd<'_>> {
        match self {
            #[cfg(feature = "stacks")]
            Telling::Asked(_, worker) => worker.output(),
            _ => None,
        }
    }

    /// Whether that process has said something, has nothing more to say, or has been waited for long enough.
    pub(crate) fn has_news(&self) -> bool {
        match self {
            #[cfg(feature = "stacks")]
            Telling::Asked(_, worker) => worker.has_news(),
            _ => false,
        }
    }
}

#[cfg(feature = "stacks")]
impl Telling {
    /// Begins with this death, unless that is done; None if there is nothing to tell of it.
    pub(crate) fn begin(&mut self, dead: Option<Dead>) {
        if matches!(self, Telling::Unknown) {
            *self = dead.filter(Dead::has_report).map_or(Telling::Told(None), Telling::Queued);
        }
    }

    /// Has a process make the report, if there is one to make and none does.
    pub(crate) fn ask(&mut self, teller: &Teller) {
        if let Telling::Queued(dead) = self {
            *self = match Worker::start(&teller.program, &Request::Death(dead.clone())) {
                Ok(worker) => Telling::Asked(dead.clone(), worker),
                Err(error) => Telling::Told(told_here(dead, &error.to_string())),
            };
        }
    }
}

/// Captures are not read here, and nobody is asked.
#[cfg(not(feature = "stacks"))]
impl Telling {
    pub(crate) fn begin(&mut self, _: Option<Dead>) {
        *self = Telling::Told(None);
    }

    pub(crate) fn ask(&mut self, _: &Teller) {}
}

/// What an answer comes to.
#[cfg(feature = "stacks")]
fn concluded(dead: &Dead, answer: Answer) -> Option<Told> {
    match answer {
        Answer { told: Some(told), failure: None } => told,
        Answer { told: Some(told), failure: Some(why) } => told.map(|told| told.with_note(&unread(&why))),
        Answer { told: None, failure } => told_here(dead, &failure.unwrap_or_default()),
    }
}

#[cfg(feature = "stacks")]
fn unread(why: &str) -> String {
    format!("debug information is not read: {why}")
}

/// What the capture tells without the files of the program: a process that was to read them has failed, and this one is not to
/// fail in the same way.
#[cfg(feature = "stacks")]
fn told_here(dead: &Dead, why: &str) -> Option<Told> {
    let reading = Reading { files: Files::LeftAlone, ..Reading::default() };
    let report = dead.report(&reading).ok().flatten()?;
    Some(Told::of(&report).with_note(&format!("no file of the program is read: {why}")))
}
