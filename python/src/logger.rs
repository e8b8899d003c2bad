//! The short way of a log call: the message is formatted and appended, and no `LogRecord` is made.
//!
//! It is taken where nobody could tell the difference: the message is text, there are no filters and no keyword arguments,
//! every handler that the record would reach is one of ours and as it came, and neither the factory of records nor a method
//! of `logging.Logger` that a record passes was replaced. All of that is looked at in every call, so nothing has to be told
//! when it changes. Otherwise the call goes to the method of `logging.Logger` that has the same name.

use crate::attributes::attributes;
use crate::handler::{FastHandler, Sink};
use crate::methods::Arguments;
use crate::percent;
use crate::ring::{FINEST, readable};
use lastwords::Level;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple, PyType};
use std::borrow::Cow;
use std::cell::Cell;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};

/// The type that the fast methods are for, beside `logging.Logger`. It has no data of its own, so that a `logging.Logger`
/// that exists already can become one.
#[pyclass(subclass, frozen, module = "lastwords._native")]
#[derive(Debug)]
pub(crate) struct FastLogger;

/// Somebody has changed one of our own classes.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Has every record of this process go the standard way, or no longer.
#[pyfunction]
pub(crate) fn give_up_short_way(give_up: bool) {
    GIVEN_UP.store(give_up, Ordering::Relaxed);
}

/// The standard library's classes and methods, as they were when this module was imported first.
struct Standard {
    module: Py<PyDict>,
    logger: Py<PyType>,
    record: Py<PyAny>,
    handle: Py<PyAny>,
    call_handlers: Py<PyAny>,
    make_record: Py<PyAny>,
    level_names: Py<PyDict>,
}

impl Standard {
    fn get(py: Python<'_>) -> PyResult<&Standard> {
        static STANDARD: PyOnceLock<Standard> = PyOnceLock::new();
        STANDARD.get_or_try_init(py, || {
            let module = py.import("logging")?;
            let logger = module.getattr("Logger")?.cast_into::<PyType>()?;
            Ok(Standard {
                record: module.getattr("LogRecord")?.unbind(),
                handle: logger.getattr("handle")?.unbind(),
                call_handlers: logger.getattr("callHandlers")?.unbind(),
                make_record: logger.getattr("makeRecord")?.unbind(),
                level_names: module.getattr("_levelToName")?.cast_into::<PyDict>()?.unbind(),
                module: module.dict().unbind(),
                logger: logger.unbind(),
            })
        })
    }

    /// Whether a standard level has its own name: another one may be new to the handlers.
    fn has_its_name(&self, py: Python<'_>, level: i64) -> PyResult<bool> {
        let name = self.level_names.bind(py).get_item(level)?;
        let name = name.as_ref().and_then(|name| name.cast_exact::<PyString>().ok()?.to_str().ok());
        Ok(name.is_some() && name == Level::new(level as u16).name())
    }

    /// Whether nobody has put something else in the place of what a record passes.
    fn is_as_it_was(&self, py: Python<'_>) -> PyResult<bool> {
        if GIVEN_UP.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let factory = self.module.bind(py).get_item(intern!(py, "_logRecordFactory"))?;
        let logger = self.logger.bind(py);
        Ok(factory.is_some_and(|factory| factory.is(&self.record))
            && logger.getattr(intern!(py, "callHandlers"))?.is(&self.call_handlers)
            && logger.getattr(intern!(py, "handle"))?.is(&self.handle)
            && logger.getattr(intern!(py, "makeRecord"))?.is(&self.make_record))
    }
}

/// One log call.
pub(crate) struct Call<'a, 'py> {
    pub(crate) logger: Borrowed<'a, 'py, PyAny>,
    pub(crate) arguments: Arguments<'a, 'py>,
    pub(crate) method: &'a str,
    /// The method's level; None where it is the first argument.
    pub(crate) level: Option<i64>,
}

impl Call<'_, '_> {
    /// Does what the method of this name of `logging.Logger` does.
    pub(crate) fn run(&self) -> PyResult<()> {
        if let Some(message) = self.message()
            && message.take_short_way(self.arguments.has_names())?
        {
            return Ok(());
        }
        let py = self.logger.py();
        let method = Standard::get(py)?.logger.bind(py).getattr(self.method)?;
        let all = iter::once(self.logger).chain((0..self.arguments.len()).filter_map(|index| self.arguments.get(index)));
        method.call(PyTuple::new(py, all.collect::<Vec<_>>())?, self.arguments.named()?.as_ref()).map(drop)
    }

    fn message(&self) -> Option<Message<'_, '_>> {
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

/// What a call says.
struct Message<'a, 'py> {
    logger: Borrowed<'a, 'py, PyAny>,
    arguments: Arguments<'a, 'py>,
    /// Which of the arguments is the text; its own arguments follow.
    first: usize,
    level: i64,
    /// Whether the level's name is known. A custom one may have got a name since the last record.
    standard: bool,
}

/// Whom a record would reach.
#[derive(Default)]
struct Reached<'py> {
    sinks: [Option<Sink<'py>>; 2],
    /// There are handlers, whatever their levels.
    any: bool,
    /// Somebody who must get a `LogRecord`.
    others: bool,
}

impl<'py> Message<'_, 'py> {
    /// Does everything that the call is to do, if nobody could tell the difference; false if somebody could.
    fn take_short_way(&self, named: bool) -> PyResult<bool> {
        let py = self.logger.py();
        if self.arguments.len() <= self.first {
            return Ok(false);
        }
        let own = attributes(&self.logger)?;
        // What the logger has found out about a level; it forgets that whenever a level changes.
        let Some(cache) = own.get_item(intern!(py, "_cache"))? else { return Ok(false) };
        let Ok(cache) = cache.cast_into_exact::<PyDict>() else { return Ok(false) };
        let enabled = match cache.get_item(self.level)? {
            Some(known) => known,
            None => Standard::get(py)?.logger.bind(py).call_method1(intern!(py, "isEnabledFor"), (self.logger, self.level))?,
        };
        if !enabled.is_truthy()? && self.level < FINEST.load(Ordering::Relaxed) {
            return Ok(true);
        }
        if is_true(&own, intern!(py, "disabled"))? {
            return Ok(true);
        }
        if !enabled.is_truthy()? {
            return self.record_fine(&own);
        }
        if named || !self.standard {
            return Ok(false);
        }
        let (reached, standard) = (self.reached(&own, false)?, Standard::get(py)?);
        if reached.others || !standard.is_as_it_was(py)? || !standard.has_its_name(py, self.level)? {
            return Ok(false);
        }
        if reached.sinks.iter().all(Option::is_none) {
            // A logger without any handler prints in the standard way.
            return Ok(reached.any);
        }
        let Some(text) = self.text()? else { return Ok(false) };
        self.record(&own, text, reached, false)
    }

    /// Records what no log file shows, where a ring wants it: the text alone, whatever the call says besides.
    fn record_fine(&self, own: &Bound<'py, PyDict>) -> PyResult<bool> {
        let py = self.logger.py();
        let disabled: i64 = self.logger.getattr(intern!(py, "manager"))?.getattr(intern!(py, "disable"))?.extract()?;
        let mut reached = self.reached(own, true)?;
        let wants = |sink: &Sink<'_>| matches!(sink, Sink::Ring(ring) if ring.get().record_level() <= self.level);
        reached.sinks = reached.sinks.map(|sink| sink.filter(wants));
        if disabled < self.level && reached.sinks.iter().any(Option::is_some) {
            let text = match self.text()? {
                Some(text) => text,
                None => self.loose_text()?,
            };
            self.record(own, text, reached, true)?;
        }
        Ok(true)
    }

    fn record(&self, own: &Bound<'py, PyDict>, text: Text<'py>, reached: Reached<'py>, fine: bool) -> PyResult<bool> {
        let py = self.logger.py();
        let Some(name) = own.get_item(intern!(py, "name"))? else { return Ok(false) };
        let Ok(name) = name.cast_exact::<PyString>() else { return Ok(false) };
        let (said, name) = (text.readable()?, readable(name)?);
        for sink in reached.sinks.into_iter().flatten() {
            match sink {
                Sink::Ring(ring) => {
                    let place = ring.get().place(py)?;
                    ring.get().put(py, self.level, &name, (&place.file, place.line), said.as_bytes(), &[], fine)?;
                }
                Sink::Console(console) => console.get().push(self.level, &said, None),
            }
        }
        drop(said);
        text.give_back();
        Ok(true)
    }

    /// The handlers that the record would reach, of this logger and of those above it; all of ours, if `any_level` is wished.
    fn reached(&self, own: &Bound<'py, PyDict>, any_level: bool) -> PyResult<Reached<'py>> {
        let py = self.logger.py();
        let filtered = !list(own, intern!(py, "filters"))?.is_some_and(|filters| filters.is_empty());
        let mut reached = Reached { others: filtered, ..Reached::default() };
        let mut at = own.clone();
        while !reached.others {
            match list(&at, intern!(py, "handlers"))? {
                Some(handlers) => handlers.iter().try_for_each(|handler| self.add(&mut reached, &handler, any_level))?,
                None => reached.others = true,
            }
            if !is_true(&at, intern!(py, "propagate"))? {
                break;
            }
            match at.get_item(intern!(py, "parent"))? {
                Some(parent) if !parent.is_none() => at = attributes(&parent)?,
                _ => break,
            }
        }
        Ok(reached)
    }

    fn add(&self, reached: &mut Reached<'py>, handler: &Bound<'py, PyAny>, any_level: bool) -> PyResult<()> {
        let py = self.logger.py();
        reached.any = true;
        let Ok(ours) = handler.cast::<FastHandler>() else {
            let level: i64 = handler.getattr(intern!(py, "level"))?.extract().unwrap_or(0);
            reached.others |= level <= self.level;
            return Ok(());
        };
        let Ok(ours) = ours.try_borrow() else {
            // Somebody who logs while an attribute of the handler is being set.
            reached.others = true;
            return Ok(());
        };
        let free = reached.sinks.iter_mut().find(|sink| sink.is_none());
        match (free, any_level) {
            (Some(place), true) => *place = ours.ring(py).map(Sink::Ring),
            (_, false) if ours.level() > self.level => {}
            (Some(place), false) => match ours.sink(py) {
                Some(sink) => *place = Some(sink),
                None => reached.others = true,
            },
            (None, _) => reached.others = true,
        }
        Ok(())
    }

    /// The message with its arguments; None if that is the long way's matter, errors included.
    fn text(&self) -> PyResult<Option<Text<'py>>> {
        let Some(message) = self.arguments.get(self.first) else { return Ok(None) };
        let Ok(message) = message.cast_exact::<PyString>() else { return Ok(None) };
        if self.arguments.len() == self.first + 1 {
            return Ok(Some(Text::Python(message.to_owned())));
        }
        if let Some(made) = message.to_str().ok().and_then(|template| self.format(template)) {
            return Ok(Some(made));
        }
        let own = self.arguments.tuple_from(self.first + 1)?;
        let text = match own.len() {
            1 => {
                let argument = own.get_item(0)?;
                if !is_plain(&argument) {
                    return Ok(None);
                }
                match argument.cast_exact::<PyDict>() {
                    // A single dictionary holds the arguments by their names.
                    Ok(named) if !named.is_empty() => message.rem(named),
                    _ => message.rem(&own),
                }
            }
            _ => message.rem(&own),
        };
        match text {
            Ok(text) => Ok(text.cast_into_exact().ok().map(Text::Python)),
            // The long way finds the same error and shows it. An interruption is none of the message's.
            Err(error) if error.is_instance_of::<PyException>(self.logger.py()) => Ok(None),
            Err(error) => Err(error),
        }
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

    /// The same for what may be anything: arguments that do not fit it are left out.
    fn loose_text(&self) -> PyResult<Text<'py>> {
        let py = self.logger.py();
        let Some(message) = self.arguments.get(self.first) else { return Ok(Text::Python(PyString::intern(py, ""))) };
        let text = message.str()?;
        let own = self.arguments.tuple_from(self.first + 1)?;
        let whole = if own.is_empty() { None } else { text.rem(own).ok().and_then(|text| text.cast_into_exact().ok()) };
        Ok(Text::Python(whole.unwrap_or(text)))
    }
}

thread_local! {
    /// Room for a message, kept from one call to the next.
    static MADE: Cell<String> = const { Cell::new(String::new()) };
}

/// Bytes of room beyond which it is not kept.
const ROOM_KEPT: usize = 64 << 10;

/// The text of a message.
enum Text<'py> {
    /// Formatted here.
    Made(String),
    /// Formatted by Python, or as it was given.
    Python(Bound<'py, PyString>),
}

impl Text<'_> {
    fn readable(&self) -> PyResult<Cow<'_, str>> {
        match self {
            Text::Made(text) => Ok(text.into()),
            Text::Python(text) => readable(text),
        }
    }

    /// Keeps the room for the next call.
    fn give_back(self) {
        if let Text::Made(made) = self
            && made.capacity() <= ROOM_KEPT
        {
            MADE.set(made);
        }
    }
}

/// Whether it is of a type that is no mapping but `dict`, which others can be without its being seen.
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

/// The list that is an attribute.
fn list<'py>(own: &Bound<'py, PyDict>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyList>>> {
    Ok(own.get_item(name)?.and_then(|found| found.cast_into_exact().ok()))
}

/// The truth of an attribute. One that is not there decides nothing: what goes the long way finds out why.
fn is_true(own: &Bound<'_, PyDict>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    own.get_item(name)?.map_or(Ok(false), |found| found.is_truthy())
}
