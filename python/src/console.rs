//! The console of a Python process: lines wait in memory, and a thread of its own writes them to standard error.
//!
//! No log call ever writes. If the pipe is not read, a limited number of lines wait, further ones are counted, and the next
//! line that gets through reports how many are missing.

use crate::ring::{level_of, readable, shown};
use lastwords_ring::place::clock::realtime_ns;
use lastwords_flusher::render::line;
use lastwords_flusher::render::timestamp::Stamp;
use lastwords_flusher::console::stderr::{self, Stderr};
use lastwords_ring::place::zone::Zone;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that wait at most.
const LINES_MAX: usize = 10_000;
/// Bytes that wait at most.
const BYTES_MAX: usize = 8 << 20;
/// Time between two polls while lines come, or while the pipe is not read.
const LOOK: Duration = Duration::from_millis(10);
/// Polls that find nothing, before the thread sleeps until it is woken.
const LOOKS: u32 = 10;
/// Longest wait for lines to be written, at the end of the process.
const FLUSH_MAX: Duration = Duration::from_millis(300);

/// A line that waits.
struct Line {
    ns: u64,
    level: i64,
    /// Name of the level, if it is not the standard one.
    name: Option<Box<str>>,
    text: Box<str>,
    /// Lines that are missing before it.
    missing: u64,
    /// Whether `text` is the whole line, made by a formatter.
    formatted: bool,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that found no room since the last one that did.
    lost: u64,
    /// The thread has taken a line that it has not written.
    writing: bool,
    /// The thread sleeps until it is woken.
    asleep: bool,
    /// None is started: the process is being forked.
    paused: bool,
    /// Which thread is to write. One that finds another number here ends.
    writer: u64,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// The process's one console. Only the holder of the GIL locks this, so that it is never locked at a fork; the thread that
/// writes has what is behind it.
static CURRENT: RwLock<Option<Arc<Shared>>> = RwLock::new(None);

pub(crate) fn current() -> Arc<Shared> {
    if let Some(shared) = &*CURRENT.read().unwrap_or_else(PoisonError::into_inner) {
        return Arc::clone(shared);
    }
    Arc::clone(CURRENT.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Standard error, written by a thread of its own.
#[pyclass(frozen, module = "lastwords._native")]
#[derive(Debug)]
pub(crate) struct Console;

#[pymethods]
impl Console {
    #[new]
    fn new() -> Console {
        Console
    }

    /// Has a line written that a formatter has made.
    fn write(&self, text: &Bound<'_, PyString>) -> PyResult<()> {
        add(Line { ns: 0, level: 0, name: None, text: (*readable(text)?).into(), missing: 0, formatted: true });
        Ok(())
    }

    /// Has a message written, with time, pid and level before it.
    #[pyo3(signature = (level, text, name = None))]
    fn push(&self, level: i64, text: &Bound<'_, PyString>, name: Option<&str>) -> PyResult<()> {
        self.add(level, &readable(text)?, name);
        Ok(())
    }

    /// A message with what `extra` holds, as it is in the log file.
    #[staticmethod]
    fn shown(text: &Bound<'_, PyString>, fields: &Bound<'_, PyDict>) -> PyResult<String> {
        shown(text, fields)
    }

    /// The line that `push` has written, for another stream: without colours.
    #[staticmethod]
    #[pyo3(signature = (level, text, name = None))]
    fn line(level: i64, text: &Bound<'_, PyString>, name: Option<&str>) -> PyResult<String> {
        let text = readable(text)?;
        let (mut out, mut stamp, level) = (Vec::new(), Stamp::new(Zone::local()), level_of(level));
        Stderr::plain().head(&mut out, &mut stamp, realtime_ns(), std::process::id(), level, name);
        line::message(&mut out, text.as_bytes(), None);
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Ends the thread that writes, after the lines that it can write soon. A later line starts it again.
    fn rest(&self, py: Python<'_>) {
        let shared = current();
        py.detach(|| {
            shared.flush();
            pause(&shared);
            resume();
        });
    }

    /// Waits until all lines are written, not for long.
    fn flush(&self, py: Python<'_>) {
        let shared = current();
        py.detach(|| shared.flush());
    }
}

impl Console {
    /// Like `push`, for text that UTF-8 can hold.
    pub(crate) fn add(&self, level: i64, text: &str, name: Option<&str>) {
        add(Line { ns: realtime_ns(), level, name: name.map(Into::into), text: text.into(), missing: 0, formatted: false });
    }
}

fn add(mut line: Line) {
    let shared = current();
    let mut queue = shared.lock();
    if queue.lines.len() >= LINES_MAX || queue.bytes + line.text.len() > BYTES_MAX {
        queue.lost += 1;
        return;
    }
    line.missing = std::mem::take(&mut queue.lost);
    queue.bytes += line.text.len();
    queue.lines.push_back(line);
    shared.start(&mut queue);
    if queue.asleep {
        queue.asleep = false;
        shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>, queue: &mut Queue) {
        if queue.thread.is_none() && !queue.paused {
            queue.writer += 1;
            let (shared, number) = (Arc::clone(self), queue.writer);
            let body = move || Writer { shared, number, stderr: Stderr::new(), stamp: Stamp::new(Zone::local()) }.run();
            // Without a thread the lines wait, and the next one tries again.
            queue.thread = std::thread::Builder::new().name("lastwords-con".to_owned()).spawn(body).ok();
        }
    }

    fn flush(&self) {
        let start = Instant::now();
        let mut queue = self.lock();
        while (!queue.lines.is_empty() || queue.writing) && queue.thread.is_some() && start.elapsed() < FLUSH_MAX {
            queue.asleep = false;
            self.changed.notify_all();
            queue = self.changed.wait_timeout(queue, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What the thread works with.
struct Writer {
    shared: Arc<Shared>,
    number: u64,
    stderr: Stderr,
    stamp: Stamp,
}

impl Writer {
    fn run(&mut self) {
        lastwords_ring::sys::hooks::settle_thread();
        let mut text = Vec::new();
        while let Some(line) = self.take() {
            self.stderr.lose(line.missing);
            text.clear();
            self.render(&line, &mut text);
            self.stderr.write(&text, 1);
        }
    }

    fn render(&mut self, line: &Line, text: &mut Vec<u8>) {
        if !line.formatted {
            let level = level_of(line.level);
            self.stderr.head(text, &mut self.stamp, line.ns, std::process::id(), level, line.name.as_deref());
        }
        line::message(text, line.text.as_bytes(), None);
    }

    /// Waits for a line and takes it; none if the thread is to end. While the pipe is not read, all stay.
    fn take(&self) -> Option<Line> {
        let mut queue = self.shared.lock();
        if queue.writer == self.number {
            queue.writing = false;
        }
        if queue.lines.is_empty() {
            self.shared.changed.notify_all();
        }
        let mut looks = 0;
        loop {
            if queue.writer != self.number {
                return None;
            }
            if !queue.lines.is_empty() && stderr::is_ready() {
                let line = queue.lines.pop_front()?;
                queue.writing = true;
                queue.bytes -= line.text.len();
                return Some(line);
            }
            looks = if queue.lines.is_empty() { looks + 1 } else { 0 };
            queue = if looks > LOOKS {
                queue.asleep = true;
                self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.shared.changed.wait_timeout(queue, LOOK).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }
}

/// Ends the thread. Lines that wait stay.
pub(crate) fn pause(shared: &Shared) {
    let thread = {
        let mut queue = shared.lock();
        (queue.paused, queue.asleep) = (true, false);
        queue.writer += 1;
        queue.thread.take()
    };
    shared.changed.notify_all();
    let (Some(thread), start) = (thread, Instant::now()) else { return };
    while !thread.is_finished() && start.elapsed() < FLUSH_MAX {
        std::thread::sleep(Duration::from_micros(50));
    }
    // One that waits for a reader after all is left to itself.
    if thread.is_finished() {
        let _ = thread.join();
    }
}

/// Starts the thread again, if lines wait.
pub(crate) fn resume() {
    let shared = current();
    let mut queue = shared.lock();
    queue.paused = false;
    if !queue.lines.is_empty() {
        shared.start(&mut queue);
    }
}

/// In a forked child: another console, whose lock is free. The parent writes what waited.
pub(crate) fn after_fork_in_child() {
    let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
    // What the parent's thread holds is never let go here.
    std::mem::forget(current.take());
}
