//! An object's own attributes, past the search through its class.
//!
//! In the stable interface a look-up of a name takes over 100 instructions, and each reference that is taken and given up two
//! calls. The attributes that every log call needs are therefore read from where they are in their dictionary, as a rule, and
//! looked up if they are not there.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString};
use std::ptr;

/// The `__dict__` of an object whose class does not override it. Looking a name up there takes a third of the time that
/// `getattr` takes, and finds the same for a name that the class does not have.
pub(crate) fn attributes<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: the object is alive and the GIL held. The call returns a new reference, or null with an exception set, which
    // is what is asked for here.
    let found = unsafe { Bound::from_owned_ptr_or_err(object.py(), ffi::PyObject_GenericGetDict(object.as_ptr(), ptr::null_mut())) }?;
    Ok(found.cast_into::<PyDict>()?)
}

/// What a dictionary is expected to hold under a name.
pub(crate) struct Expected {
    own: Py<PyDict>,
    name: Py<PyAny>,
    value: Py<PyAny>,
}

impl Expected {
    /// This value of an attribute.
    pub(crate) fn new<'py>(own: &Bound<'py, PyDict>, name: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Expected {
        Expected { own: own.clone().unbind(), name: name.clone().unbind(), value: value.clone().unbind() }
    }

    /// Whether it is there, as this very object.
    #[inline]
    pub(crate) fn is_there(&self, py: Python<'_>) -> PyResult<bool> {
        let found = self.own.bind(py).get_item(&self.name)?;
        Ok(found.is_some_and(|found| found.is(&self.value)))
    }
}

/// An attribute that is an integer of 64 bits; None for one that is something else, or a property of the class.
pub(crate) fn integer(own: &Bound<'_, PyDict>, name: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    Ok(own.get_item(name)?.and_then(|found| found.cast_exact::<PyInt>().ok()?.extract().ok()))
}

/// What a logger's own attributes say about its records. None for one that is missing, or is nothing that the fast path knows.
pub(crate) struct LoggerAttributes<'py> {
    pub(crate) name: Option<Bound<'py, PyString>>,
    pub(crate) parent: Option<Bound<'py, PyAny>>,
    pub(crate) propagate: Option<bool>,
    pub(crate) handlers: Option<Bound<'py, PyList>>,
    pub(crate) disabled: Option<bool>,
    pub(crate) has_no_filters: bool,
}

/// The first attributes that `logging` gives a logger, in this order.
const NAMES: [&str; 7] = ["filters", "name", "level", "parent", "propagate", "handlers", "disabled"];
static INTERNED: PyOnceLock<[Py<PyString>; NAMES.len()]> = PyOnceLock::new();

impl<'py> LoggerAttributes<'py> {
    /// Of the logger with this `__dict__`.
    #[inline]
    pub(crate) fn of(own: &Bound<'py, PyDict>) -> PyResult<LoggerAttributes<'py>> {
        let py = own.py();
        let names = INTERNED.get_or_init(py, || NAMES.map(|name| PyString::intern(py, name).unbind()));
        match LoggerAttributes::first(own, names) {
            Some(all) => Ok(all),
            None => LoggerAttributes::looked_up(own, names),
        }
    }

    /// Taken one after the other, which takes less than half of what looking each up takes. None if the dictionary begins with
    /// anything else.
    #[inline]
    fn first(own: &Bound<'py, PyDict>, names: &[Py<PyString>; NAMES.len()]) -> Option<LoggerAttributes<'py>> {
        let mut position = 0;
        let mut next = |expected: &Py<PyString>| {
            let (mut name, mut value) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: the dictionary is alive and the GIL held. Nothing changes it from the first call to the last use of a
            // value: what is done with them runs no code in Python.
            unsafe {
                let is_there = ffi::PyDict_Next(own.as_ptr(), &raw mut position, &raw mut name, &raw mut value) != 0;
                (is_there && name == expected.as_ptr()).then(|| Borrowed::from_ptr(own.py(), value))
            }
        };
        let [filters, name, level, parent, propagate, handlers, disabled] = names;
        let (filters, name, _, parent) = (next(filters)?, next(name)?, next(level)?, next(parent)?);
        let (propagate, handlers, disabled) = (next(propagate)?, next(handlers)?, next(disabled)?);
        Some(LoggerAttributes {
            name: name.cast_exact().ok().map(|name| name.to_owned()),
            parent: Some(parent.to_owned()),
            propagate: truth(&propagate),
            handlers: handlers.cast_exact().ok().map(|handlers| handlers.to_owned()),
            disabled: truth(&disabled),
            has_no_filters: is_empty_list(&filters),
        })
    }

    #[cold]
    fn looked_up(own: &Bound<'py, PyDict>, names: &[Py<PyString>; NAMES.len()]) -> PyResult<LoggerAttributes<'py>> {
        let [filters, name, _, parent, propagate, handlers, disabled] = names;
        let get = |name: &Py<PyString>| own.get_item(name);
        Ok(LoggerAttributes {
            name: get(name)?.and_then(|name| name.cast_into_exact().ok()),
            parent: get(parent)?,
            propagate: get(propagate)?.and_then(|propagate| truth(&propagate)),
            handlers: get(handlers)?.and_then(|handlers| handlers.cast_into_exact().ok()),
            disabled: get(disabled)?.and_then(|disabled| truth(&disabled)),
            has_no_filters: get(filters)?.is_some_and(|filters| is_empty_list(&filters)),
        })
    }
}

fn is_empty_list(value: &Bound<'_, PyAny>) -> bool {
    value.cast_exact::<PyList>().is_ok_and(|list| list.is_empty())
}

/// A value that is true or false.
#[inline]
fn truth(value: &Bound<'_, PyAny>) -> Option<bool> {
    match value.cast_exact::<PyBool>() {
        Ok(truth) => Some(truth.is_true()),
        // Configurations and old programs say 0 and 1.
        Err(_) => value.cast_exact::<PyInt>().ok()?.extract::<i64>().ok().map(|number| number != 0),
    }
}
