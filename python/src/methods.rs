//! The methods of a fast logger in the interpreter's calling convention that makes no tuple of the arguments: a call of a
//! disabled level is then done before anything is made.
#![allow(unsafe_code)]

use crate::logger::{Call, FastLogger};
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// The arguments of a call, borrowed from the interpreter.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a, 'py> {
    py: Python<'py>,
    /// Those by position, then the values of those by name.
    values: &'a [*mut ffi::PyObject],
    /// Names, or null.
    names: *mut ffi::PyObject,
    by_position: usize,
}

impl<'a, 'py> Arguments<'a, 'py> {
    /// How many were given by position.
    pub(crate) fn len(&self) -> usize {
        self.by_position
    }

    /// One that was given by position.
    pub(crate) fn get(&self, index: usize) -> Option<Borrowed<'a, 'py, PyAny>> {
        let value = *self.values[..self.by_position].get(index)?;
        // SAFETY: the interpreter keeps the objects alive during the call, and the GIL is held.
        Some(unsafe { Borrowed::from_ptr(self.py, value) })
    }

    /// Those that were given by position, from one on.
    pub(crate) fn tuple_from(&self, first: usize) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(self.py, (first..self.by_position).filter_map(|index| self.get(index)).collect::<Vec<_>>())
    }

    /// Whether some were given by name.
    pub(crate) fn has_names(&self) -> bool {
        !self.names.is_null()
    }

    /// Those that were given by name.
    pub(crate) fn named(&self) -> PyResult<Option<Bound<'py, PyDict>>> {
        if self.names.is_null() {
            return Ok(None);
        }
        // SAFETY: the interpreter keeps the tuple alive during the call, and the GIL is held.
        let names = unsafe { Borrowed::from_ptr(self.py, self.names) };
        let named = PyDict::new(self.py);
        for (name, value) in names.cast::<PyTuple>()?.iter().zip(&self.values[self.by_position..]) {
            // SAFETY: as above.
            named.set_item(name, unsafe { Borrowed::from_ptr(self.py, *value) })?;
        }
        Ok(Some(named))
    }
}

/// Runs one call, and says in the interpreter's way what came of it.
unsafe fn run(
    logger: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
    method: &str,
    level: Option<i64>,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls methods with the GIL held, and with objects that live during the call: `count` of them,
    // and as many as there are names. The pointer may be anything where there are none.
    let (py, logger, values) = unsafe {
        let py = Python::assume_attached();
        let named = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
        let all = usize::try_from(count + named).unwrap_or(0);
        let values = if all == 0 { &[] } else { std::slice::from_raw_parts(values, all) };
        (py, Borrowed::from_ptr(py, logger), values)
    };
    let arguments = Arguments { py, values, names, by_position: usize::try_from(count).unwrap_or(0) };
    let call = Call { logger, arguments, method, level };
    // A panic must not reach the interpreter.
    match catch_unwind(AssertUnwindSafe(|| call.run())) {
        Ok(Ok(())) => py.None().into_ptr(),
        Ok(Err(error)) => fail(py, error),
        Err(_) => fail(py, PyRuntimeError::new_err("a log call of lastwords failed; this is a defect of lastwords")),
    }
}

fn fail(py: Python<'_>, error: PyErr) -> *mut ffi::PyObject {
    error.restore(py);
    ptr::null_mut()
}

/// Makes the methods: their names, levels and documentation.
macro_rules! methods {
    ($($name:ident, $level:expr, $doc:literal;)*) => {
        $(
            unsafe extern "C" fn $name(
                logger: *mut ffi::PyObject,
                values: *const *mut ffi::PyObject,
                count: ffi::Py_ssize_t,
                names: *mut ffi::PyObject,
            ) -> *mut ffi::PyObject {
                // SAFETY: the arguments are the interpreter's own.
                unsafe { run(logger, values, count, names, stringify!($name), $level) }
            }
        )*

        /// The methods by their names, for a subclass of `logging.Logger` and [`FastLogger`].
        #[pyfunction]
        pub(crate) fn fast_methods(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
            let methods = PyDict::new(py);
            $(methods.set_item(stringify!($name), describe(py, definition($name, $doc))?)?;)*
            Ok(methods)
        }
    };
}

methods! {
    debug, Some(10), c"debug($self, msg, *args, **kwargs)\n--\n\nLogs at DEBUG, as `logging.Logger.debug`.";
    info, Some(20), c"info($self, msg, *args, **kwargs)\n--\n\nLogs at INFO, as `logging.Logger.info`.";
    warning, Some(30), c"warning($self, msg, *args, **kwargs)\n--\n\nLogs at WARNING, as `logging.Logger.warning`.";
    error, Some(40), c"error($self, msg, *args, **kwargs)\n--\n\nLogs at ERROR, as `logging.Logger.error`.";
    critical, Some(50), c"critical($self, msg, *args, **kwargs)\n--\n\nLogs at CRITICAL, as `logging.Logger.critical`.";
    log, None, c"log($self, level, msg, *args, **kwargs)\n--\n\nLogs at any level, as `logging.Logger.log`.";
}

/// A definition for good: methods keep the pointer. The name stands at the beginning of the documentation.
fn definition(function: ffi::PyCFunctionFastWithKeywords, doc: &'static CStr) -> &'static mut ffi::PyMethodDef {
    let name: Vec<u8> = doc.to_bytes().iter().copied().take_while(|byte| *byte != b'(').chain([0]).collect();
    Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: Box::leak(name.into_boxed_slice()).as_ptr().cast::<c_char>(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }))
}

fn describe<'py>(py: Python<'py>, definition: &'static mut ffi::PyMethodDef) -> PyResult<Bound<'py, PyAny>> {
    let class = py.get_type::<FastLogger>();
    // SAFETY: the definition lives as long as the program, its function has the convention that its flags say, and the
    // result is a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition)) }
}
