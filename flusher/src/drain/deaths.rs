//! The ends of rings whose processes are dead: the death line, the crash file, and the removal.
//!
//! What a capture tells is found out by another process where there is one to start, see [`Teller`](crate::crash::teller::Teller).
//! Until it has answered the ring stays, drained to its end, and the lines of others go on. Whoever flushes next begins with that anew, for
//! nothing of it is written before the line and the removal are, in one entry of the journal.

use super::held::AGAIN;
use super::{Drain, Pass};
use crate::crash::teller::Telling;
use crate::crash::told::Told;
use crate::drain::tracked_ring::TrackedRing;
use crate::files::journal::Change;
use crate::files::notices;
use crate::recover::crash_file;
use crate::render::signal::signal_name;
use lastwords_ring::error::{Error, Result};
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How many processes make reports at a time.
const ASKED_MAX: usize = 2;

/// How long writing a crash file is retried after transient failures, before its process's death is logged without one.
const CRASH_WAIT: Duration = Duration::from_secs(10);

/// How long a pass tells deaths before the lines of others come again. One takes a few milliseconds, with a stack that this process
/// looks at itself some more.
const DEATHS_MAX: Duration = Duration::from_millis(50);

impl Drain {
    /// Death lines and removal of rings that have been drained to the end. Each ring's line and its removal are one entry of
    /// the journal, so that a line is never written twice. If a dead process's ring is still locked, it stays, and the entry
    /// marks its line as written.
    pub(super) fn finish_dead(&mut self, earlier: bool, pass: &mut Pass) -> Result<()> {
        let now = Instant::now();
        let is_ended = |ring: &TrackedRing| ring.is_exhausted() && !(ring.is_kept() && ring.death_logged);
        let done =
            |drain: &Drain, ring: &TrackedRing| ring.earlier == earlier && is_ended(ring) && !drain.is_aside(ring, now);
        if self.teller.is_separate() {
            let done: Vec<usize> = (0..self.rings.len()).filter(|ring| done(self, &self.rings[*ring])).collect();
            self.ask_about(&done);
        }
        let is_told = |drain: &Drain, ring: &TrackedRing| !drain.teller.is_separate() || ring.telling.is_over();
        while let Some(ring) = self.rings.iter().position(|ring| done(self, ring) && is_told(self, ring)) {
            if !earlier && now.elapsed() > DEATHS_MAX {
                pass.waiting = true;
                break;
            }
            let (role, uuid) = (self.rings[ring].role, self.rings[ring].reader.header().uuid);
            let finished = self.finish(ring, pass);
            match finished {
                Err(_) if self.has_set_aside(uuid, now) => {}
                finished => _ = self.unless_suspended(role, finished)?,
            }
        }
        Ok(())
    }

    /// Has processes make the reports of these rings, a few at a time: of the others the lines go on meanwhile.
    fn ask_about(&mut self, done: &[usize]) {
        for ring in done {
            let ring = &mut self.rings[*ring];
            // Only of those that are finished in this turn: a drain that ends when nobody is asked any more would leave others.
            ring.telling.look();
            let is_to_be_told = !ring.death_logged && notices::death(&ring.death()).is_some();
            let dead = ring.died().filter(|_| is_to_be_told);
            ring.telling.begin(dead);
        }
        for ring in done {
            if self.rings.iter().filter(|ring| ring.telling.is_asked()).count() < ASKED_MAX {
                self.rings[*ring].telling.ask(&self.teller);
            }
        }
    }

    /// Whether processes make reports.
    pub(crate) fn is_asking(&self) -> bool {
        self.rings.iter().any(|ring| ring.telling.is_asked())
    }

    /// Whether one of them has said something, or has been waited for long enough.
    pub(crate) fn has_answer(&self) -> bool {
        self.rings.iter().any(|ring| ring.telling.has_news())
    }

    /// What becomes ready when one of them says something.
    pub(crate) fn answers(&self) -> Vec<BorrowedFd<'_>> {
        self.rings.iter().filter_map(|ring| ring.telling.output()).collect()
    }

    /// Whether the ring with this UUID is skipped for a moment.
    fn has_set_aside(&self, uuid: [u8; 16], now: Instant) -> bool {
        self.rings.iter().any(|ring| ring.reader.header().uuid == uuid && self.is_aside(ring, now))
    }

    fn finish(&mut self, ring: usize, pass: &mut Pass) -> Result<()> {
        let role = self.rings[ring].role;
        self.log_ahead(ring, true)?;
        self.commit(None)?;
        self.ensure_active(role)?;
        let tracked = &self.rings[ring];
        let header = tracked.reader.header();
        let (pid, uuid) = (header.pid, header.uuid);
        let (name, kept) = (tracked.name.clone(), tracked.is_kept());
        let ending = if kept { Change::DeathLogged { ring: name, uuid } } else { Change::Remove { ring: name, uuid } };
        let withheld = (tracked.withheld > 0).then(|| notices::withheld(tracked.withheld, tracked.rendered_max));
        let death = if tracked.death_logged { None } else { notices::death(&tracked.death()) };
        if let Some(text) = withheld {
            self.line(role, clock::realtime_ns(), pid, Level::WARNING, &text)?;
            // Set last: a pass that fails after this does not log it again.
            self.rings[ring].withheld = 0;
            self.commit(None)?;
            self.ensure_active(role)?;
        }
        if let Some(mut text) = death {
            // Once, however often the crash file has to be tried.
            let told = match &self.rings[ring].telling {
                Telling::Told(told) => told.clone(),
                _ => self.rings[ring].died().and_then(|dead| self.teller.tell(dead)),
            };
            self.rings[ring].telling = Telling::Told(told.clone());
            let told = self.add_clues(ring, &mut text, told);
            let (mention, crash_file) = self.write_crash_file(ring, told.as_ref())?;
            text += &mention;
            let members = members(self.rings[ring].ending().signal(), crash_file.as_deref());
            let told = Some(Told::with_evidence(told, &members, ""));
            // What is in the journal without the removal must not hold the line.
            self.commit(None)?;
            self.ensure_active(role)?;
            self.death_line(role, pid, &text, told.as_ref())?;
        }
        let name = self.rings[ring].name.clone();
        let committed = self.commit(Some((role, ending))).and_then(|()| {
            // What waits holds the death line and the removal, and is applied before anything else of the role happens.
            if self.is_spoken_for(&name) { Ok(()) } else { self.ensure_active(role) }
        });
        if committed.is_ok() && kept {
            (self.rings[ring].death_logged, self.rings[ring].crash_failed) = (true, None);
        } else if committed.is_ok() {
            pass.removed += 1;
            self.rings.remove(ring);
            self.durable.leave(&self.rings);
        } else {
            // Nothing has been written; the next pass logs it again.
            self.roles[role].outputs().for_each(|output| self.outputs[output].clear());
        }
        committed
    }

    /// Adds what is known of a death that nobody can tell, to the death line and to what a capture tells.
    fn add_clues(&mut self, ring: usize, text: &mut String, told: Option<Told>) -> Option<Told> {
        let tracked = &self.rings[ring];
        let Some(clues) = tracked.clues() else { return told };
        let stamp = &mut self.roles[tracked.role].stamp;
        *text += &clues.in_line(stamp);
        Some(Told::with_evidence(told, &clues.in_json(stamp), &clues.in_head(stamp)))
    }

    /// Writes the crash file of a ring whose process died without closing it. Returns its mention in the death line, and its name. A file
    /// that cannot be written is retried, but not for ever; meanwhile the ring is skipped.
    fn write_crash_file(&mut self, ring: usize, told: Option<&Told>) -> Result<(String, Option<String>)> {
        let tracked = &self.rings[ring];
        let keep = crash_file::kept(tracked.reader.header());
        if keep == 0 || !tracked.ending().is_crash() {
            return Ok((String::new(), None));
        }
        let asked = crash_file::Asked {
            keep,
            bytes: tracked.files.crash_total,
            sync: self.durable.is_on(),
            access: self.access,
        };
        let status = tracked.status;
        let write = || crash_file::write_crash_file(&self.folder, &tracked.name, status, told, &asked);
        let written = self.spare.use_for(write);
        match written {
            Ok(name) => Ok((format!("; its black box is {name}"), Some(name))),
            Err(error) => {
                let tracked = &mut self.rings[ring];
                let since = tracked.crash_failed.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                let is_over = since.elapsed() >= CRASH_WAIT && !mutant::is(Mutant::CrashFileForEver);
                if is_over || !error.may_pass() {
                    return Ok((format!("; its black box could not be kept ({error})"), None));
                }
                let wait =
                    Error::io("write the crash file of", tracked.reader.path())(io::Error::other("it is tried again"));
                (tracked.crash_failed, tracked.again) = (Some((since, error)), Some(Instant::now() + AGAIN));
                Err(wait)
            }
        }
    }
}

/// The members of a death line in JSON that are about the end itself, each with a comma before it.
fn members(signal: Option<u32>, crash_file: Option<&str>) -> String {
    let signal = signal.map(|signal| format!(",\"signal\":\"{}\"", signal_name(signal)));
    // A role has no character that would have to be escaped.
    let crash_file = crash_file.map(|name| format!(",\"crash_file\":\"{name}\""));
    [signal, crash_file].into_iter().flatten().collect()
}
