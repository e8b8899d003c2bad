//! What a program prints, until it ends.

use crate::feed::Feed;
use crate::lines::Lines;
use crate::run::supervisor::Supervisor;
use lastwords::{Level, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long the outputs are read after the program's end: another process may hold them, and print for ever.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of the last line that are kept.
const LAST_MAX: usize = 512;

/// One of the two outputs of a program.
pub(crate) struct Stream {
    pipe: OwnedFd,
    lines: Lines,
    level: Level,
    target: &'static str,
    /// Where a copy goes.
    tee: Option<Box<dyn Write>>,
}

impl Stream {
    /// # Errors
    /// As fcntl(2).
    pub(crate) fn new(
        pipe: OwnedFd,
        level: Level,
        target: &'static str,
        tee: Option<Box<dyn Write>>,
    ) -> io::Result<Stream> {
        // Of this end alone: the program has the other one.
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        Ok(Stream { pipe, lines: Lines::default(), level, target, tee })
    }

    /// Reads once, and logs the lines. Returns whether anything came.
    fn read(&mut self, feed: &mut Feed, last: &mut Vec<u8>, supervisor: &Supervisor) -> Result<bool> {
        let failed = |source| lastwords::Error::Io { doing: "read", path: self.target.into(), source };
        let came = self.lines.read(&self.pipe).map_err(failed)?;
        while let Some(line) = self.lines.next() {
            let line = self.lines.bytes(line);
            feed.log(line, self.level, self.target, || supervisor.was_asked_to_end())?;
            if !line.trim_ascii().is_empty() {
                last.clear();
                last.extend_from_slice(&line.trim_ascii_end()[..line.trim_ascii_end().len().min(LAST_MAX)]);
            }
            // Whoever reads the copy may leave; the log goes on.
            if self.tee.as_mut().is_some_and(|tee| tee.write_all(line).and_then(|()| tee.flush()).is_err()) {
                self.tee = None;
            }
        }
        Ok(came)
    }
}

/// What became of the outputs.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The last line with anything in it.
    pub(crate) last: Vec<u8>,
    /// Another process still has an output of the program.
    pub(crate) is_held: bool,
}

/// Logs what comes, until the program has ended and all that it printed is read. `ends` becomes readable at its end.
///
/// # Errors
/// As read(2), poll(2) and `flush`.
pub(crate) fn log_all(
    mut streams: [Stream; 2],
    ends: &UnixStream,
    feed: &mut Feed,
    supervisor: &Supervisor,
) -> Result<Said> {
    let mut said = Said::default();
    loop {
        let ended = supervisor.ended();
        let is_over = ended.is_some_and(|(_, when)| when.elapsed() > LINGER);
        wait(&streams, ends, ended.map(|(_, when)| when))?;
        let mut came = false;
        for stream in streams.iter_mut().filter(|stream| !stream.lines.has_ended()) {
            came |= stream.read(feed, &mut said.last, supervisor)?;
        }
        let have_ended = streams.iter().all(|stream| stream.lines.has_ended());
        if ended.is_some() && (have_ended || !came || is_over) {
            break;
        }
    }
    for stream in streams.iter_mut().filter(|stream| !stream.lines.has_ended()) {
        said.is_held = true;
        stream.lines.end();
        stream.read(feed, &mut said.last, supervisor)?;
    }
    Ok(said)
}

/// Waits until there is something to read, or the program has ended; not at all after that.
fn wait(streams: &[Stream; 2], ends: &UnixStream, ended: Option<Instant>) -> Result<()> {
    let open = streams.iter().filter(|stream| !stream.lines.has_ended()).map(|stream| stream.pipe.as_fd());
    let ends = ended.is_none().then(|| ends.as_fd());
    let fds: Vec<_> = open.chain(ends).collect();
    let mut fds: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    match poll(&mut fds, ended.map(|_| Timespec::default()).as_ref()) {
        Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
        Err(error) => {
            Err(lastwords::Error::Io { doing: "wait for", path: "the program's output".into(), source: error.into() })
        }
    }
}
