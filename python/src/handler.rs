//! What our handlers share with the short way of a log call: it looks here whether it may be taken.

use crate::console::Console;
use crate::ring::Ring;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Base of `RingHandler` and `ConsoleHandler`, beside `logging.Handler`, whose attributes of these names it keeps.
#[pyclass(subclass, module = "lastwords._native")]
#[derive(Debug)]
pub(crate) struct FastHandler {
    /// Records below it are none of this handler's.
    #[pyo3(get, set)]
    level: i64,
    /// Filters of the handler.
    #[pyo3(get, set)]
    filters: Py<PyAny>,
    /// Formatter, None for the default.
    #[pyo3(get, set)]
    formatter: Py<PyAny>,
    /// Where the records of a `RingHandler` go, once it is open.
    #[pyo3(get, set)]
    ring: Option<Py<Ring>>,
    /// Where those of a `ConsoleHandler` go.
    #[pyo3(get, set)]
    console: Option<Py<Console>>,
    /// False where a record must come as a `LogRecord`, because somebody has changed what the handler does with it.
    #[pyo3(get, set)]
    fast: bool,
}

#[pymethods]
impl FastHandler {
    /// A handler that `logging.Handler.__init__` has yet to fill in, with whatever arguments that takes.
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(py: Python<'_>, _arguments: &Bound<'_, PyAny>, _keywords: Option<&Bound<'_, PyAny>>) -> FastHandler {
        FastHandler { level: 0, filters: py.None(), formatter: py.None(), ring: None, console: None, fast: false }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.filters)?;
        visit.call(&self.formatter)?;
        visit.call(&self.ring)?;
        visit.call(&self.console)
    }

    fn __clear__(&mut self) {
        self.ring = None;
        self.console = None;
    }
}

/// Where a record of a handler goes without a `LogRecord`.
pub(crate) enum Sink<'py> {
    Ring(Bound<'py, Ring>),
    Console(Bound<'py, Console>),
}

impl FastHandler {
    pub(crate) fn level(&self) -> i64 {
        self.level
    }

    /// The ring of a `RingHandler`, once it is open.
    pub(crate) fn ring<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Ring>> {
        self.ring.as_ref().map(|ring| ring.bind(py).clone())
    }

    /// Where its records go; None where they must come as `LogRecord`s.
    pub(crate) fn sink<'py>(&self, py: Python<'py>) -> Option<Sink<'py>> {
        let plain = self.fast && self.formatter.is_none(py) && self.filters.bind(py).cast_exact::<PyList>().is_ok_and(|list| list.is_empty());
        if !plain {
            return None;
        }
        match (&self.ring, &self.console) {
            (Some(ring), _) => Some(Sink::Ring(ring.bind(py).clone())),
            (None, Some(console)) => Some(Sink::Console(console.bind(py).clone())),
            (None, None) => None,
        }
    }
}
