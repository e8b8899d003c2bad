//! The demo's processes, as the demo sees them: this tool, started again with a hidden subcommand. All are ended by
//! their id when the cast is dropped, on errors too.

use super::page::Page;
use super::place::Place;
use super::progress::{Progress, grouped};
use crate::cli::{Demo, DemoMemory, How};
use lastwords::{Error, Result};
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::lock_holder::Holder;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Roles of the processes and how each will end. The first is elected, because it starts first.
const PARTS: [(&str, How); 4] =
    [("host", How::Run), ("worker", How::Run), ("worker", How::Segv), ("worker", How::Exit)];
/// Number of processes.
pub(crate) const PROCESSES: u32 = PARTS.len() as u32;
/// Longest wait for anything that a process should do at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two checks of something slow.
const LOOK: Duration = Duration::from_millis(5);
/// Time between two running counts.
const TICK: Duration = Duration::from_millis(100);

/// All processes.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) members: Vec<Member>,
    pub(crate) folder: Folder,
    /// How this tool is started: the program, and what comes before the tool's arguments.
    program: Vec<OsString>,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) index: u32,
    pub(crate) role: &'static str,
    pub(crate) how: How,
    pub(crate) page: Page,
    child: Child,
}

impl Cast {
    /// Starts the processes, the host first so that it is the flusher.
    pub(crate) fn start(program: &[OsString], arguments: &Demo, place: &Place, progress: &Progress) -> Result<Cast> {
        let mut cast = Cast { members: Vec::new(), folder: place.folder.clone(), program: program.to_vec() };
        cast.add(arguments, place)?;
        cast.wait("the host is the flusher", |cast| cast.members[0].page.is_ready() && cast.elected() == Some(0))?;
        progress.step(&format!("{} runs and is the elected flusher", cast.members[0].name()));
        while cast.members.len() < PARTS.len() {
            cast.add(arguments, place)?;
        }
        cast.wait("the workers log", |cast| cast.members.iter().all(|member| member.page.is_ready()))?;
        let names: Vec<String> = cast.members[1..].iter().map(Member::name).collect();
        progress.step(&format!("{} run", names.join(", ")));
        Ok(cast)
    }

    fn add(&mut self, arguments: &Demo, place: &Place) -> Result<()> {
        let index = self.members.len();
        let (role, how) = PARTS[index];
        let oracle = place.page(index as u32);
        let page = Page::create(&oracle, arguments.threads)?;
        let mut command = Command::new(self.program.first().map_or(OsStr::new("lastwords"), OsString::as_os_str));
        command.args(self.program.iter().skip(1));
        // Settings that the user has made for other programs are not this demo's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LASTWORDS_")) {
            command.env_remove(name);
        }
        let child = command
            .args(["demo-process", "--role", role, "--index", &index.to_string(), "--how", how.name()])
            .args(["--parent", &std::process::id().to_string()])
            .args(["--threads", &arguments.threads.to_string()])
            .args(["--bytes", &(place.lines_max / u64::from(PROCESSES)).to_string()])
            .arg("--dir")
            .arg(self.folder.path())
            .arg("--rings")
            .arg(self.folder.rings())
            .args((arguments.memory == DemoMemory::Shm).then_some("--shm"))
            .arg("--oracle")
            .arg(&oracle)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| self.error("start a process in", error))?;
        self.members.push(Member { index: index as u32, role, how, page, child });
        Ok(())
    }

    /// Lets the processes log for this long.
    pub(crate) fn log_for(&mut self, duration: Duration, progress: &Progress) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < duration {
            thread::sleep(TICK.min(duration.saturating_sub(start.elapsed())));
            self.check_alive()?;
            progress.count(&format!("{} lines acknowledged", grouped(self.acknowledged())));
        }
        progress.step(&format!("{} lines acknowledged so far", grouped(self.acknowledged())));
        Ok(())
    }

    /// Which of the processes is the flusher.
    pub(crate) fn elected(&self) -> Option<usize> {
        let pid = Holder::read(&self.folder)?.process.pid;
        self.members.iter().position(|member| member.pid() == pid)
    }

    fn acknowledged(&self) -> u64 {
        self.members.iter().map(|member| member.page.acknowledged().sum::<u64>()).sum()
    }

    fn wait(&mut self, what: &str, mut holds: impl FnMut(&Cast) -> bool) -> Result<()> {
        let start = Instant::now();
        while !holds(self) {
            self.check_alive()?;
            if start.elapsed() > PATIENCE {
                let error = io::Error::other(format!("waited for {} s until {what}", PATIENCE.as_secs()));
                return Err(self.error("go on with the demo in", error));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn check_alive(&mut self) -> Result<()> {
        for member in &mut self.members {
            if let Ok(Some(status)) = member.child.try_wait() {
                let error = io::Error::other(format!("{} ended by itself: {status}", member.name()));
                return Err(self.error("go on with the demo in", error));
            }
        }
        Ok(())
    }

    /// An error of the demo itself.
    pub(crate) fn error(&self, doing: &'static str, source: io::Error) -> Error {
        Error::Io { doing, path: self.folder.path().to_owned(), source }
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        for member in &mut self.members {
            // A process that has ended and was waited for gets no signal.
            let _ = member.kill();
        }
    }
}

impl Member {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Role, number and pid, for people.
    pub(crate) fn name(&self) -> String {
        let number = if self.index == 0 { String::new() } else { format!(" {}", self.index) };
        format!("{}{number} (pid {})", self.role, self.pid())
    }

    /// Has every thread log a spurt, and returns as soon as `lines` of it were acknowledged.
    pub(crate) fn spurt(&mut self, lines: u64) -> io::Result<()> {
        let before: u64 = self.page.acknowledged().sum();
        let start = Instant::now();
        self.page.order_spurt();
        // Without sleeping or yielding, so that what follows happens in the middle of the spurt.
        while self.page.acknowledged().sum::<u64>() < before + lines {
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{} does not log any more", self.name())));
            }
            std::hint::spin_loop();
        }
        Ok(())
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait_for_end(&mut self) -> io::Result<ExitStatus> {
        self.look_until("ends", |member| member.child.try_wait())
    }

    /// Stops all its threads, and returns when they are stopped.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        self.look_until("stops", |_| Ok(waitid(WaitId::Pid(pid), options)?.map(|_| ())))
    }

    /// Lets it go on after [`Member::stop`].
    pub(crate) fn go_on(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }

    fn look_until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Member) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if start.elapsed() > PATIENCE {
                let text = format!("waited for {} s until {} {what}", PATIENCE.as_secs(), self.name());
                return Err(io::Error::other(text));
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}
