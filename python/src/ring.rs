//! A ring of this process, as Python sees it.

use crate::interpreter::NoCollection;
use crate::place::Place;
use lastwords::event::{Destination, Event, Relayed, Value};
use lastwords::{Builder, Directives, Error, Format, Level, Log};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::iter;
use std::ffi::{OsStr, OsString};
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The finest level at which any ring of this process has ring-only records. Calls of disabled levels return after one check of
/// it.
pub(crate) static FINEST: AtomicI64 = AtomicI64::new(i64::MAX);

thread_local! {
    static NAMED: Cell<bool> = const { Cell::new(false) };
}

/// The ring of a role in a log folder.
#[pyclass(frozen, module = "lastwords._native")]
#[derive(Debug)]
pub(crate) struct Ring {
    log: Log,
    /// Whether source file and line are recorded: only JSON lines show them.
    places: bool,
    /// What [`Log::state`] was when `changed` was called last.
    state: AtomicU64,
    changed: Py<PyAny>,
    closed: AtomicBool,
}

#[pymethods]
impl Ring {
    /// Makes the ring of this role, or finds it. `changed()` is to be called whenever the process has a new ring, in a forked child,
    /// and when the filter was changed from outside.
    #[new]
    fn new(py: Python<'_>, role: &str, settings: BTreeMap<String, OsString>, changed: Py<PyAny>) -> PyResult<Ring> {
        let open = || {
            let builder = lastwords::builder(role).console(false).console_all_levels(false);
            settings.iter().try_fold(builder, |builder, (name, value)| set(builder, name, value))?.open()
        };
        let open = || open().inspect(|log: &Log| _ = log.create_files());
        let log = py.detach(open).map_err(|error| exception(&error))?;
        let ring = Ring { log, places: log.format() != Format::Text, state: AtomicU64::new(log.state()), changed, closed: AtomicBool::new(false) };
        ring.note_ring_level();
        Ok(ring)
    }

    /// Records text with fields, whose values are numbers, truth values, text, or bytes that are JSON. True if `changed` is to
    /// be called, None if the ring was closed and nothing is recorded. `relayed` is when (in nanoseconds since 1970), by which process and with which name of its level a record
    /// was made that was handed on; `exception_at` is where in the text, in bytes, an exception begins.
    #[pyo3(signature = (level, target, file, line, text, fields = None, thread = None, relayed = None, exception_at = None))]
    #[expect(clippy::too_many_arguments, reason = "they are what a LogRecord holds")]
    fn append(
        &self,
        py: Python<'_>,
        level: i64,
        target: &Bound<'_, PyString>,
        file: &Bound<'_, PyString>,
        line: u32,
        text: &Bound<'_, PyString>,
        fields: Option<&Bound<'_, PyDict>>,
        thread: Option<&Bound<'_, PyString>>,
        relayed: Option<(u64, u32, Option<String>)>,
        exception_at: Option<u32>,
    ) -> PyResult<Option<bool>> {
        if let Some(thread) = thread {
            name_thread(thread)?;
        }
        let (target, file, text) = (readable(target)?, readable(file)?, readable(text)?);
        let taken = fields.map(Field::take_all).transpose()?.unwrap_or_default();
        let fields: Vec<_> = taken.iter().map(Field::borrow).collect();
        let place = if self.places { (&*file, line) } else { ("", 0) };
        // A thread that was not named has no name.
        NAMED.set(true);
        let relayed = relayed.as_ref().map(|(realtime_ns, pid, name)| Relayed::new(*realtime_ns, *pid, name.as_deref()));
        let mut event = Event::new(level_of(level), &target, text.as_bytes());
        (event.file, event.line, event.fields) = (place.0, place.1, &fields);
        (event.relayed, event.exception_at) = (relayed, exception_at);
        let put = self.put_event(py, &event);
        Ok((!matches!(put, Put::Closed)).then_some(matches!(put, Put::Changed)))
    }

    /// Waits until all that was recorded before is in the log file, for at most that many seconds, 2 by default.
    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let flushed = match timeout.map(seconds).transpose()? {
            None => py.detach(|| self.log.flush()),
            Some(timeout) => py.detach(|| self.log.flush_within(timeout)),
        };
        flushed.map_err(|error| exception(&error))
    }

    /// Closes it for the handler that it was made for. Where no other handler of this process has the ring, it is drained and
    /// removed, within 2 s. What is not in the log file by then is safe all the same.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        py.detach(|| self.log.close()).map_err(|error| exception(&error))
    }

    /// Whether the process's ring of this role and folder was closed, by any handler.
    #[getter]
    fn closed(&self) -> bool {
        self.is_closed()
    }

    /// Sets a custom level name, which its lines then show.
    fn name_level(&self, level: u16, name: &str) {
        self.log.name_level(Level::new(level), name);
    }

    /// Opens the file whose text is copied to the crash file, if there will be one, and returns its descriptor, for the caller
    /// to close. A forked child has a file of its own.
    fn attachment(&self, py: Python<'_>) -> PyResult<i32> {
        let file = py.detach(|| self.log.attachment()).map_err(|error| exception(&error))?;
        Ok(file.into_raw_fd())
    }

    /// Where the log files are.
    #[getter]
    fn folder(&self) -> Option<PathBuf> {
        self.log.folder()
    }

    /// The levels that are written to the log files: `(target, level)`, the target None for all others.
    #[getter]
    fn levels(&self) -> Levels {
        levels(&self.log.directives())
    }

    /// Those that `lastwords level --keep` has left for processes of the role that start now; None if it has not.
    #[getter]
    fn kept_levels(&self) -> Option<Levels> {
        self.log.kept_directives().as_ref().map(levels)
    }

    /// Writes to the ring's filter what is written, for `lastwords status`.
    fn set_directives(&self, directives: &str) -> PyResult<()> {
        let before = self.log.state();
        self.log.set_log(directives).map_err(|error| exception(&error))?;
        // Where something else has changed before, `changed` is yet to be called.
        let _ = self.state.compare_exchange(before, self.log.state(), Ordering::Relaxed, Ordering::Relaxed);
        self.note_ring_level();
        Ok(())
    }
}

impl Drop for Ring {
    /// One that was not closed stays in the process, and does not keep others from closing it.
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Acquire) {
            self.log.forget();
        }
    }
}

impl Ring {
    /// Records text alone, see [`Ring::put_event`].
    pub(crate) fn put(
        &self,
        py: Python<'_>,
        level: i64,
        target: &str,
        (file, line): (&str, u32),
        text: &[u8],
        fine: bool,
    ) -> Put {
        let mut event = Event::new(level_of(level), target, text);
        (event.file, event.line) = (file, line);
        event.destination = if fine { Destination::RingOnly } else { Destination::Write };
        self.put_event(py, &event)
    }

    /// Records, unless the thread has yet to be named. Waits without the GIL, if at all.
    fn put_event(&self, py: Python<'_>, event: &Event<'_>) -> Put {
        if !self.log.try_record(event) {
            if self.is_closed() {
                return Put::Closed;
            }
            if !NAMED.get() {
                return Put::Unnamed;
            }
            if !NoCollection::detach(py, || self.log.record(event)) {
                return Put::Closed;
            }
        }
        let state = self.log.state();
        // It hardly ever changes, and a swap waits for the processor's writes.
        let is_same = self.state.load(Ordering::Relaxed) == state || self.state.swap(state, Ordering::Relaxed) == state;
        if is_same || self.is_closed() {
            return Put::Done;
        }
        self.note_ring_level();
        Put::Changed
    }

    /// It is not written to any more. If one of two handlers of a ring was closed separately, it has released the ring already.
    fn is_closed(&self) -> bool {
        self.log.is_closed()
    }

    /// What is to be called when the ring or its filter has changed.
    pub(crate) fn changed<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.changed.bind(py).clone()
    }

    /// The finest level that it records.
    pub(crate) fn ring_level(&self) -> i64 {
        i64::from(self.log.ring_level().number())
    }

    /// Where the caller of a log method is, if that is recorded.
    pub(crate) fn place(&self, py: Python<'_>) -> PyResult<Place> {
        if self.places { Place::of_caller(py) } else { Ok(Place::default()) }
    }

    fn note_ring_level(&self) {
        let level = self.log.ring_level();
        if level != Level::OFF {
            FINEST.fetch_min(i64::from(level.number()), Ordering::Relaxed);
        }
    }
}

/// A time in seconds, as Python gives it; one that is too long for a duration is the longest one.
fn seconds(number: f64) -> PyResult<Duration> {
    if number.is_nan() || number < 0.0 {
        return Err(PyValueError::new_err(format!("timeout: {number} found, expected seconds, 0 or more")));
    }
    Ok(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

/// Gives a builder a setting. A path need not be text.
fn set(builder: Builder, name: &str, value: &OsStr) -> Result<Builder, Error> {
    match (name, value.to_str()) {
        ("dir", _) => Ok(builder.dir(value)),
        ("rings", _) => Ok(builder.rings(value)),
        (_, Some(text)) => builder.set(name, text),
        (_, None) => builder.set(name, &value.to_string_lossy()),
    }
}

pub(crate) fn level_of(number: i64) -> Level {
    Level::new(number.clamp(0, i64::from(u16::MAX) - 1) as u16)
}

/// Levels of a role, as `(target, level)`; the target is None for the level of all others.
type Levels = Vec<(Option<String>, u16)>;

/// The levels that this role writes, by environment and configuration file.
#[pyfunction]
pub(crate) fn configured_levels(role: &str) -> PyResult<Levels> {
    lastwords::builder(role).directives().map(|found| levels(&found)).map_err(|error| exception(&error))
}

/// The finest level that this role's ring records, by the same; None without ring-only records.
#[pyfunction]
pub(crate) fn configured_ring_level(role: &str) -> PyResult<Option<u16>> {
    let level = lastwords::builder(role).effective_ring_level().map_err(|error| exception(&error))?;
    Ok((level != Level::OFF).then_some(level.number()))
}

fn levels(directives: &Directives) -> Levels {
    let all = (None, directives.default_level().number());
    iter::once(all).chain(directives.targets().map(|(target, level)| (Some(target.to_owned()), level.number()))).collect()
}

/// What came of a record.
pub(crate) enum Put {
    /// It is recorded.
    Done,
    /// So it is, and the process has a new ring, or another filter.
    Changed,
    /// It is not: the ring was closed.
    Closed,
    /// It is not: the thread's first record would make it known without its name.
    Unnamed,
}

/// Has rings know the calling thread by its name in Python.
#[pyfunction]
pub(crate) fn name_thread(name: &Bound<'_, PyString>) -> PyResult<()> {
    if !NAMED.replace(true) {
        lastwords::name_thread(&readable(name)?);
    }
    Ok(())
}

/// Text as UTF-8. Surrogates, which UTF-8 does not have, are shown as `\udc80`.
pub(crate) fn readable<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    if let Ok(text) = text.to_str() {
        return Ok(text.into());
    }
    let bytes = text.call_method1("encode", ("utf-8", "backslashreplace"))?;
    Ok(String::from_utf8_lossy(bytes.extract()?).into_owned().into())
}

/// A field that was taken over from Python.
struct Field {
    name: String,
    value: Taken,
}

enum Taken {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
    Json(String),
}

/// A message with its fields, as the log file shows them.
pub(crate) fn shown(text: &Bound<'_, PyString>, fields: &Bound<'_, PyDict>) -> PyResult<String> {
    let (text, taken) = (readable(text)?, Field::take_all(fields)?);
    let fields: Vec<_> = taken.iter().map(Field::borrow).collect();
    let mut event = Event::new(Level::INFO, "", text.as_bytes());
    event.fields = &fields;
    Ok(String::from_utf8_lossy(&event.shown()).into_owned())
}

impl Field {
    fn take_all(fields: &Bound<'_, PyDict>) -> PyResult<Vec<Field>> {
        fields.iter().map(|(name, value)| Field::take(&name, &value)).collect()
    }

    /// Of exact types alone, so that no code in Python runs here.
    fn take(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Field> {
        let number = || -> Option<Taken> {
            if let Ok(value) = value.cast_exact::<PyBool>() {
                return Some(Taken::Bool(value.is_true()));
            }
            if value.is_exact_instance_of::<PyInt>() {
                return value.extract().map(Taken::I64).or_else(|_| value.extract().map(Taken::U64)).ok();
            }
            value.cast_exact::<PyFloat>().ok().map(|value| Taken::F64(value.value()))
        };
        let value = match number() {
            Some(value) => value,
            None if value.is_exact_instance_of::<PyBytes>() => {
                Taken::Json(String::from_utf8_lossy(value.extract()?).into_owned())
            }
            None => Taken::Text(readable(value.cast_exact::<PyString>()?)?.into_owned()),
        };
        Ok(Field { name: readable(name.cast_exact::<PyString>()?)?.into_owned(), value })
    }

    fn borrow(&self) -> (&str, Value<'_>) {
        let value = match &self.value {
            Taken::Bool(value) => Value::Bool(*value),
            Taken::I64(value) => Value::I64(*value),
            Taken::U64(value) => Value::U64(*value),
            Taken::F64(value) => Value::F64(*value),
            Taken::Text(value) => Value::Str(value),
            Taken::Json(value) => Value::Json(value),
        };
        (&self.name, value)
    }
}

/// The equivalent exception.
pub(crate) fn exception(error: &Error) -> PyErr {
    match error {
        Error::Io { doing, path, source } => {
            let text = format!("cannot {doing}: {}", source.kind());
            PyOSError::new_err((source.raw_os_error(), text, path.clone()))
        }
        Error::Folder { .. } | Error::TooManyLoggers { .. } | Error::FileSizeLimit { .. } => PyOSError::new_err(error.to_string()),
        Error::Setting { .. } | Error::SettingDiffers { .. } => PyValueError::new_err(error.to_string()),
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}
