//! The fast path of a log call: the message is formatted and appended, and no `LogRecord` is created.
//!
//! It is taken where the difference cannot be observed: the message is text, there are no filters and no keyword arguments,
//! every handler that the record would reach is one of ours and as it came, and neither the factory of records nor a method of
//! `logging.Logger` that a record passes was replaced. All of that is checked in every call, so nothing has to be notified when
//! it changes. Otherwise the call goes to the method of `logging.Logger` that has the same name.
//!
//! Nothing here runs code in Python. Where that is needed, a [`Step`] says what is to be called, and the frame that called us,
//! which has nothing to clean up, calls it: the interpreter ends daemon threads in the middle of such code, by unwinding.

use crate::attributes::{self, LoggerAttributes, attributes};
use crate::handler::{FastHandler, Sink};
use crate::methods::{Arguments, Step, Way};
use crate::percent;
use crate::ring::{FINEST, Put, readable};
use crate::standard::{self, Standard};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple, PyType};
use std::borrow::Cow;
use std::cell::Cell;
use std::iter;
use std::sync::atomic::Ordering;

/// The type that the fast methods are for, beside `logging.Logger`. It has no data of its own, so that a `logging.Logger`
/// that exists already can become one.
#[pyclass(subclass, frozen, module = "lastwords._native")]
#[derive(Debug)]
pub(crate) struct FastLogger;

static NAMER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Takes the function that is called, without arguments, in each thread before its first record: it names the thread.
#[pyfunction]
pub(crate) fn set_namer(py: Python<'_>, namer: Py<PyAny>) {
    let _ = NAMER.set(py, namer);
}

/// One log call.
pub(crate) struct Call<'a, 'py> {
    pub(crate) logger: Borrowed<'a, 'py, PyAny>,
    pub(crate) arguments: Arguments<'a, 'py>,
    pub(crate) method: &'a str,
    /// The method's level; None where it is the first argument.
    pub(crate) level: Option<i64>,
}

impl<'py> Call<'_, 'py> {
    /// Does the part of the call that can be done now. `text` is what the last step has made, if it has made one. `is_enabled`
    /// is set if the level is known to be enabled.
    pub(crate) fn go_on(&self, way: Way, is_enabled: bool, text: Option<Bound<'py, PyAny>>) -> PyResult<Step> {
        let step = match self.message() {
            Some(message) if way == Way::Short => message.go_on(is_enabled, text)?,
            _ => Step::Standard,
        };
        if matches!(step, Step::Standard) { self.standard() } else { Ok(step) }
    }

    /// The call of the method of `logging.Logger` that has the same name.
    fn standard(&self) -> PyResult<Step> {
        let py = self.logger.py();
        let method = logger_class(py)?.getattr(self.method)?;
        let all = iter::once(self.logger).chain((0..self.arguments.len()).filter_map(|index| self.arguments.get(index)));
        let arguments = PyTuple::new(py, all.collect::<Vec<_>>())?;
        Ok(Step::finish_with(method, arguments, self.arguments.named()?))
    }

    fn message(&self) -> Option<Message<'_, 'py>> {
        let Call { logger, arguments, .. } = *self;
        match self.level {
            Some(level) => Some(Message { logger, arguments, first: 0, level, standard: true }),
            None => {
                let level = arguments.get(0)?.cast_exact::<PyInt>().ok()?.extract().ok()?;
                let standard = matches!(level, 10 | 20 | 30 | 40 | 50);
                Some(Message { logger, arguments, first: 1, level, standard })
            }
        }
    }
}

fn logger_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    let standard = standard::get(py).ok_or_else(|| PyRuntimeError::new_err("lastwords.logger was not imported"))?;
    Ok(standard.logger(py))
}

/// The contents of a call.
struct Message<'a, 'py> {
    logger: Borrowed<'a, 'py, PyAny>,
    arguments: Arguments<'a, 'py>,
    /// Which of the arguments is the text; its own arguments follow.
    first: usize,
    level: i64,
    /// Whether the level's name is known. A custom one may have got a name since the last record.
    standard: bool,
}

/// The receivers of a record.
#[derive(Default)]
struct Reached<'py> {
    sinks: [Option<Sink<'py>>; 2],
    /// There are handlers, whatever their levels.
    any: bool,
    /// A receiver that must get a `LogRecord`.
    others: bool,
}

impl Reached<'_> {
    fn consoles(&self) -> bool {
        self.sinks.iter().any(|sink| matches!(sink, Some(Sink::Console(_))))
    }
}

impl<'py> Message<'_, 'py> {
    /// Does everything that the call is to do, if the difference cannot be observed.
    fn go_on(&self, is_enabled: bool, text: Option<Bound<'py, PyAny>>) -> PyResult<Step> {
        let py = self.logger.py();
        if self.arguments.len() <= self.first {
            return Ok(Step::Standard);
        }
        let own = attributes(&self.logger)?;
        let enabled = if is_enabled {
            true
        } else {
            // What the logger has found out about a level; it forgets that whenever a level changes.
            let Some(cache) = own.get_item(intern!(py, "_cache"))? else { return Ok(Step::Standard) };
            let Ok(cache) = cache.cast_into_exact::<PyDict>() else { return Ok(Step::Standard) };
            let Some(enabled) = cache.get_item(self.level)? else {
                let method = logger_class(py)?.getattr(intern!(py, "isEnabledFor"))?;
                return Ok(Step::ask(method, (self.logger, self.level).into_pyobject(py)?));
            };
            enabled.is(&*true.into_pyobject(py)?)
        };
        if !enabled && self.level < FINEST.load(Ordering::Relaxed) {
            return Ok(Step::Done);
        }
        let all = LoggerAttributes::of(&own)?;
        match all.disabled {
            Some(false) => {}
            Some(true) => return Ok(Step::Done),
            None => return Ok(Step::Standard),
        }
        if enabled { self.record(all, text) } else { self.record_fine(&own, all, text) }
    }

    fn record(&self, mut own: LoggerAttributes<'py>, text: Option<Bound<'py, PyAny>>) -> PyResult<Step> {
        let py = self.logger.py();
        if self.arguments.has_names() || !self.standard {
            return Ok(Step::Standard);
        }
        let name = own.name.take();
        let reached = self.reached(own, false)?;
        let Some(standard) = standard::get(py) else { return Ok(Step::Standard) };
        if reached.others || !standard.is_in_place(py)? || !standard.has_its_name(py, self.level)? {
            return Ok(Step::Standard);
        }
        if reached.consoles() && !standard.has_own_stderr(py)? {
            return Ok(Step::Standard);
        }
        if reached.sinks.iter().all(Option::is_none) {
            // A logger without any handler prints in the standard way.
            return Ok(if reached.any { Step::Done } else { Step::Standard });
        }
        match self.text(text)? {
            Some(text) => self.put(name, &text, reached, false),
            None => self.make_text(Way::Short),
        }
    }

    /// Makes a ring-only record, if a ring requests it: the text alone, whatever else the call has.
    fn record_fine(
        &self,
        own: &Bound<'py, PyDict>,
        mut all: LoggerAttributes<'py>,
        text: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Step> {
        let py = self.logger.py();
        // What `logging.disable` takes away, the standard way does not record either.
        let manager = own.get_item(intern!(py, "manager"))?;
        let disabled = manager.map_or(Ok(None), |manager| Standard::disabled(&manager))?;
        let Some(disabled) = disabled else { return Ok(Step::Standard) };
        let name = all.name.take();
        let mut reached = self.reached(all, true)?;
        let wants = |sink: &Sink<'_>| matches!(sink, Sink::Ring(ring) if ring.get().ring_level() <= self.level);
        reached.sinks = reached.sinks.map(|sink| sink.filter(wants));
        if disabled >= self.level || reached.sinks.iter().all(Option::is_none) {
            return Ok(Step::Done);
        }
        match self.text(text)? {
            Some(text) => self.put(name, &text, reached, true),
            None => self.make_text(Way::Loose),
        }
    }

    fn put(
        &self,
        name: Option<Bound<'py, PyString>>,
        text: &Text<'py>,
        reached: Reached<'py>,
        fine: bool,
    ) -> PyResult<Step> {
        let py = self.logger.py();
        let Some(name) = name else { return Ok(Step::Standard) };
        let (said, name) = (text.readable()?, readable(&name)?);
        let (mut next, mut any) = (Step::Done, false);
        for sink in reached.sinks.into_iter().flatten() {
            match sink {
                Sink::Ring(ring) => {
                    let place = ring.get().place(py)?;
                    let place = (place.file.as_str(), place.line);
                    match ring.get().put(py, self.level, &name, place, &said, fine) {
                        Put::Done => {}
                        // Its handler opens another one. What the first of two rings has is not said to it again.
                        Put::Closed if !any => return Ok(Step::Standard),
                        Put::Closed => {}
                        Put::Changed => next = Step::finish_with(ring.get().changed(py), PyTuple::empty(py), None),
                        // Nothing is recorded yet: rings come before consoles, and a logger with two is in the same thread.
                        Put::Unnamed => {
                            let Some(namer) = NAMER.get(py) else { return Ok(Step::Standard) };
                            return Ok(Step::ask(namer.bind(py).clone(), PyTuple::empty(py)));
                        }
                    }
                    any = true;
                }
                Sink::Console(console) => console.get().add(self.level, &String::from_utf8_lossy(&said), None),
            }
        }
        Ok(next)
    }

    /// The handlers that the record would reach, of this logger and of those above it; all of ours, if `any_level` is set.
    fn reached(&self, own: LoggerAttributes<'py>, any_level: bool) -> PyResult<Reached<'py>> {
        let mut reached = Reached { others: !own.has_no_filters, ..Reached::default() };
        let mut at = own;
        while !reached.others {
            match &at.handlers {
                Some(handlers) => handlers.iter().try_for_each(|handler| self.add(&mut reached, &handler, any_level))?,
                None => reached.others = true,
            }
            match at.propagate {
                Some(true) => {}
                Some(false) => break,
                None => reached.others = true,
            }
            match at.parent {
                Some(parent) if !parent.is_none() => at = LoggerAttributes::of(&attributes(&parent)?)?,
                Some(_) => break,
                None => reached.others = true,
            }
        }
        // What a console shows must not be shown twice where the ring has to wait.
        reached.sinks.sort_by_key(|sink| !matches!(sink, Some(Sink::Ring(_))));
        Ok(reached)
    }

    fn add(&self, reached: &mut Reached<'py>, handler: &Bound<'py, PyAny>, any_level: bool) -> PyResult<()> {
        let py = self.logger.py();
        reached.any = true;
        let Ok(ours) = handler.cast::<FastHandler>() else {
            // What is not a number in the handler itself may be anything.
            let level = attributes(handler).ok().and_then(|own| attributes::integer(&own, intern!(py, "level")).ok().flatten());
            let level = level.unwrap_or(0);
            reached.others |= level <= self.level;
            return Ok(());
        };
        let Ok(ours) = ours.try_borrow() else {
            // Code that logs while an attribute of the handler is being set.
            reached.others = true;
            return Ok(());
        };
        let free = reached.sinks.iter_mut().find(|sink| sink.is_none());
        match (free, any_level) {
            (Some(place), true) => *place = ours.ring(py).map(Sink::Ring),
            (_, false) if ours.lowest().is_some_and(|level| level > self.level) => {}
            (Some(place), false) => match ours.sink(py) {
                Some(sink) => *place = Some(sink),
                None => reached.others = true,
            },
            (None, _) => reached.others = true,
        }
        Ok(())
    }

    /// The message with its arguments, as far as that takes no code in Python. `made` is what that has made.
    fn text(&self, made: Option<Bound<'py, PyAny>>) -> PyResult<Option<Text<'py>>> {
        if let Some(made) = made {
            return Ok(made.cast_into_exact().ok().map(Text::Python));
        }
        let Some(message) = self.arguments.get(self.first) else { return Ok(None) };
        let Ok(message) = message.cast_exact::<PyString>() else { return Ok(None) };
        if self.arguments.len() == self.first + 1 {
            return Ok(Some(Text::Python(message.to_owned())));
        }
        Ok(message.to_str().ok().and_then(|template| self.format(template)))
    }

    fn format(&self, template: &str) -> Option<Text<'py>> {
        let mut made = MADE.take();
        made.clear();
        match percent::format(&mut made, template, &self.arguments, self.first + 1) {
            Some(()) => Some(Text::Made(made)),
            None => {
                MADE.set(made);
                None
            }
        }
    }

    /// Has Python make the text.
    fn make_text(&self, way: Way) -> PyResult<Step> {
        let Some(message) = self.arguments.get(self.first) else { return Ok(Step::Standard) };
        let own = self.arguments.tuple_from(self.first + 1)?;
        let is_text = message.is_exact_instance_of::<PyString>();
        if way == Way::Short && !is_text {
            return Ok(Step::Standard);
        }
        if own.len() == 1 {
            let argument = own.get_item(0)?;
            // A single dictionary holds the arguments by their names, and so does any other mapping.
            if let Ok(named) = argument.cast_exact::<PyDict>()
                && !named.is_empty()
            {
                return Ok(Step::text(&message, named.as_any(), way));
            }
            if way == Way::Short && !is_plain(&argument) {
                return Ok(Step::Standard);
            }
        }
        Ok(Step::text(&message, own.as_any(), way))
    }
}

thread_local! {
    /// Room for a message, kept from one call to the next.
    static MADE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes of room beyond which it is not kept.
const ROOM_KEPT: usize = 64 << 10;

/// The text of a message.
enum Text<'py> {
    /// Formatted here, as UTF-8.
    Made(Vec<u8>),
    /// Formatted by Python, or as it was given.
    Python(Bound<'py, PyString>),
}

impl Text<'_> {
    /// As UTF-8.
    fn readable(&self) -> PyResult<Cow<'_, [u8]>> {
        match self {
            Text::Made(text) => Ok(text.into()),
            Text::Python(text) => Ok(match readable(text)? {
                Cow::Borrowed(text) => text.as_bytes().into(),
                Cow::Owned(text) => text.into_bytes().into(),
            }),
        }
    }
}

/// Keeps the room for the next call.
impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Text::Made(made) = self
            && made.capacity() <= ROOM_KEPT
        {
            MADE.set(std::mem::take(made));
        }
    }
}

/// Whether its type cannot be a mapping; other types may be one unnoticed.
fn is_plain(argument: &Bound<'_, PyAny>) -> bool {
    argument.is_exact_instance_of::<PyInt>()
        || argument.is_exact_instance_of::<PyString>()
        || argument.is_exact_instance_of::<PyFloat>()
        || argument.is_exact_instance_of::<PyDict>()
        || argument.is_exact_instance_of::<PyBool>()
        || argument.is_exact_instance_of::<PyNone>()
        || argument.is_exact_instance_of::<PyTuple>()
        || argument.is_exact_instance_of::<PyList>()
}
