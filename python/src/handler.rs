//! What our handlers share with the fast path of a log call, which checks here whether it may be taken.

use crate::console::Console;
use crate::ring::Ring;
use pyo3::exceptions::PyAttributeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Base of `RingHandler` and `ConsoleHandler`, beside `logging.Handler`, whose attributes of these names it keeps.
#[pyclass(subclass, module = "lastwords._native")]
#[derive(Debug, Default)]
pub(crate) struct FastHandler {
    /// None where the attribute was deleted, by a mock for instance.
    level: Option<i64>,
    filters: Option<Py<PyAny>>,
    formatter: Option<Py<PyAny>>,
    /// Where the records of a `RingHandler` go, once it is open.
    #[pyo3(get, set)]
    ring: Option<Py<Ring>>,
    /// Where those of a `ConsoleHandler` go.
    #[pyo3(get, set)]
    console: Option<Py<Console>>,
    /// False if a record must come as a `LogRecord`, because the handler's methods were replaced.
    #[pyo3(get, set)]
    fast: bool,
}

#[pymethods]
impl FastHandler {
    /// A handler that `logging.Handler.__init__` has yet to fill in, with whatever arguments that takes.
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(_arguments: &Bound<'_, PyAny>, _keywords: Option<&Bound<'_, PyAny>>) -> FastHandler {
        FastHandler::default()
    }

    /// Records below it are not for this handler.
    #[getter]
    fn level(&self) -> PyResult<i64> {
        self.level.ok_or_else(|| PyAttributeError::new_err("level"))
    }

    #[setter]
    fn set_level(&mut self, level: i64) {
        self.level = Some(level);
    }

    #[deleter]
    fn delete_level(&mut self) {
        self.level = None;
    }

    /// Filters of the handler.
    #[getter]
    fn filters(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.filters.as_ref().map(|filters| filters.clone_ref(py)).ok_or_else(|| PyAttributeError::new_err("filters"))
    }

    #[setter]
    fn set_filters(slf: &Bound<'_, Self>, filters: Py<PyAny>) {
        // What was there is let go of when nothing is borrowed any more: that may run code, which may log.
        let earlier = slf.borrow_mut().filters.replace(filters);
        drop(earlier);
    }

    #[deleter]
    fn delete_filters(slf: &Bound<'_, Self>) {
        let earlier = slf.borrow_mut().filters.take();
        drop(earlier);
    }

    /// Formatter, None for the default.
    #[getter]
    fn formatter(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.formatter.as_ref().map(|formatter| formatter.clone_ref(py)).ok_or_else(|| PyAttributeError::new_err("formatter"))
    }

    #[setter]
    fn set_formatter(slf: &Bound<'_, Self>, formatter: Py<PyAny>) {
        let earlier = slf.borrow_mut().formatter.replace(formatter);
        drop(earlier);
    }

    #[deleter]
    fn delete_formatter(slf: &Bound<'_, Self>) {
        let earlier = slf.borrow_mut().formatter.take();
        drop(earlier);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.filters)?;
        visit.call(&self.formatter)?;
        visit.call(&self.ring)?;
        visit.call(&self.console)
    }

    fn __clear__(&mut self) {
        (self.filters, self.formatter, self.ring, self.console) = (None, None, None, None);
    }
}

/// Where a record of a handler goes without a `LogRecord`.
pub(crate) enum Sink<'py> {
    Ring(Bound<'py, Ring>),
    Console(Bound<'py, Console>),
}

impl FastHandler {
    /// Records below it are not for this handler.
    pub(crate) fn lowest(&self) -> Option<i64> {
        self.level
    }

    /// The ring of a `RingHandler`, once it is open.
    pub(crate) fn ring<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Ring>> {
        self.ring.as_ref().map(|ring| ring.bind(py).clone())
    }

    /// Where its records go; None where they must come as `LogRecord`s.
    pub(crate) fn sink<'py>(&self, py: Python<'py>) -> Option<Sink<'py>> {
        let filters = self.filters.as_ref().and_then(|filters| filters.bind(py).cast_exact::<PyList>().ok());
        let plain = self.fast
            && self.level.is_some()
            && self.formatter.as_ref().is_some_and(|formatter| formatter.is_none(py))
            && filters.is_some_and(|filters| filters.is_empty());
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
