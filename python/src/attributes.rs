//! An object's own attributes, past the search through its class.
#![allow(unsafe_code)]

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The `__dict__` of an object whose class does not override it. Looking a name up there takes a third of the time that
/// `getattr` takes, and finds the same for a name that the class does not have.
pub(crate) fn attributes<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: the object is alive and the GIL held. The call returns a new reference, or null with an exception set, which
    // is what is asked for here.
    let found = unsafe { Bound::from_owned_ptr_or_err(object.py(), pyo3::ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut())) }?;
    Ok(found.cast_into::<PyDict>()?)
}
