//! The pager that what is shown goes through on a terminal, as git does it.

use std::env;
use std::io::{self, IsTerminal, Stdout, Write};
use std::process::{Child, Command, Stdio};

/// Where records are written to.
#[derive(Debug)]
pub(crate) enum Sink {
    Stdout(Stdout),
    Pager(Child),
}

impl Sink {
    /// A pager where standard output is a terminal and one is wanted: `LASTWORDS_PAGER`, else `PAGER`, else less.
    pub(crate) fn open(pager: bool) -> Sink {
        let wanted = pager && io::stdout().is_terminal();
        wanted.then(start).flatten().map_or_else(|| Sink::Stdout(io::stdout()), Sink::Pager)
    }

    /// Waits until the reader has seen enough.
    pub(crate) fn finish(self) {
        if let Sink::Pager(mut child) = self {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

fn start() -> Option<Child> {
    let named = ["LASTWORDS_PAGER", "PAGER"].iter().find_map(|name| env::var(name).ok());
    let command = named.unwrap_or_else(|| "less".to_owned());
    if command.trim().is_empty() || command.trim() == "cat" {
        return None;
    }
    let mut pager = Command::new("sh");
    pager.arg("-c").arg(&command).stdin(Stdio::piped());
    for (name, value) in [("LESS", "FRX"), ("LV", "-c")] {
        if env::var_os(name).is_none() {
            pager.env(name, value);
        }
    }
    pager.spawn().ok()
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout(out) => out.write(bytes),
            Sink::Pager(Child { stdin: Some(pipe), .. }) => pipe.write(bytes),
            Sink::Pager(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(out) => out.flush(),
            Sink::Pager(_) => Ok(()),
        }
    }
}
