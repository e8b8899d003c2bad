//! The methods of a fast logger in the interpreter's calling convention that makes no tuple of the arguments: a call of a
//! disabled level is then done before anything is made.
#![allow(unsafe_code)]

use crate::interpreter::NoCollection;
use crate::logger::{Call, FastLogger};
use crate::ring::FINEST;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::ffi::{CStr, c_char, c_long, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::Ordering;

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

/// The next step of a call. The pointers are references that the owner of the step releases, or null.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// Nothing more.
    Done,
    /// An exception is set.
    Failed,
    /// The method of `logging.Logger` has to do the call.
    Standard,
    /// Call this, and what it returns or raises is the result.
    Finish { method: *mut ffi::PyObject, arguments: *mut ffi::PyObject, named: *mut ffi::PyObject },
    /// Call this, and go on.
    Ask { method: *mut ffi::PyObject, arguments: *mut ffi::PyObject },
    /// Put the message and its arguments together, and go on with the text.
    Text { message: *mut ffi::PyObject, arguments: *mut ffi::PyObject, way: Way },
}

/// How a call goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Without a record, if the difference cannot be observed.
    Short,
    /// So too, and arguments that do not fit their message are left out.
    Loose,
    /// Through `logging.Logger`.
    Standard,
}

impl Step {
    pub(crate) fn finish_with<'py>(
        method: Bound<'py, PyAny>,
        arguments: Bound<'py, PyTuple>,
        named: Option<Bound<'py, PyDict>>,
    ) -> Step {
        let named = named.map_or(ptr::null_mut(), Bound::into_ptr);
        Step::Finish { method: method.into_ptr(), arguments: arguments.into_ptr(), named }
    }

    pub(crate) fn ask<'py>(method: Bound<'py, PyAny>, arguments: Bound<'py, PyTuple>) -> Step {
        Step::Ask { method: method.into_ptr(), arguments: arguments.into_ptr() }
    }

    pub(crate) fn text<'py>(message: &Bound<'py, PyAny>, arguments: &Bound<'py, PyAny>, way: Way) -> Step {
        Step::Text { message: message.clone().into_ptr(), arguments: arguments.clone().into_ptr(), way }
    }
}

// What of the interpreter runs code in Python. In such code it may end a daemon thread, by unwinding the stack: so no frame
// between it and the interpreter may have anything to clean up, or stop it.
#[allow(clashing_extern_declarations, reason = "they are the same functions, but for the unwinding")]
unsafe extern "C-unwind" {
    fn PyObject_Call(method: *mut ffi::PyObject, arguments: *mut ffi::PyObject, named: *mut ffi::PyObject) -> *mut ffi::PyObject;
    fn PyObject_Str(object: *mut ffi::PyObject) -> *mut ffi::PyObject;
    fn PyNumber_Remainder(left: *mut ffi::PyObject, right: *mut ffi::PyObject) -> *mut ffi::PyObject;
    fn PyObject_GenericGetDict(object: *mut ffi::PyObject, context: *mut c_void) -> *mut ffi::PyObject;
    fn PyDict_GetItemWithError(dictionary: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject;
    fn PyLong_FromLong(number: c_long) -> *mut ffi::PyObject;
    fn Py_DecRef(object: *mut ffi::PyObject);
}

/// Most questions of one call. There are two, for the thread's name and whether a level is enabled; the limit ends the loop if
/// an answer does not last.
const ASKED_MAX: u32 = 3;

/// What the interpreter has handed over for one call.
#[derive(Clone, Copy)]
struct Given {
    logger: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
    method: &'static str,
    level: Option<i64>,
}

/// The name of the attribute in which a logger keeps what it has found out about levels.
static CACHE: PyOnceLock<Py<PyString>> = PyOnceLock::new();

/// Whether the level of a method is enabled for the logger, as far as that is known. None where the arguments, or anything
/// else, need a closer look. As `run`, it has nothing to clean up: a call of a disabled level, which programs are full of,
/// is done with this.
unsafe fn is_enabled(given: &Given) -> Option<bool> {
    let level = given.level.filter(|_| given.count > 0)?;
    // SAFETY: the logger is alive and the GIL held. Each new reference is released once, and what is borrowed from a dictionary
    // is used before anything else is called. An error is one that `go_on` finds again.
    unsafe {
        let name = CACHE.get(Python::assume_attached())?.as_ptr();
        let own = PyObject_GenericGetDict(given.logger, ptr::null_mut());
        if own.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let cache = PyDict_GetItemWithError(own, name);
        let mut known = ptr::null_mut();
        if !cache.is_null() && ffi::PyDict_CheckExact(cache) != 0 {
            let number = PyLong_FromLong(level);
            known = PyDict_GetItemWithError(cache, number);
            Py_DecRef(number);
        }
        Py_DecRef(own);
        if known == ffi::Py_True() {
            return Some(true);
        }
        if known == ffi::Py_False() {
            return Some(false);
        }
        ffi::PyErr_Clear();
        None
    }
}

/// Runs one call, and returns its result by the interpreter's convention. Has nothing to clean up, at any time.
unsafe fn run(given: Given) -> *mut ffi::PyObject {
    let (mut way, mut text, mut asked) = (Way::Short, ptr::null_mut(), 0);
    // SAFETY: what was given lives during the call.
    let mut enabled = unsafe { is_enabled(&given) };
    if enabled == Some(false) && given.level.is_some_and(|level| level < FINEST.load(Ordering::Relaxed)) {
        // SAFETY: the interpreter holds the GIL.
        return unsafe { ffi::Py_NewRef(ffi::Py_None()) };
    }
    loop {
        // SAFETY: what was given lives during the call, `text` is a reference of ours or null, and each step's references are
        // ours, used here once. The interpreter holds the GIL whenever it calls us or comes back.
        unsafe {
            // After a step in Python it may be another.
            let is_enabled = enabled.take() == Some(true);
            match go_on(given, way, is_enabled, text) {
                Step::Done => return ffi::Py_NewRef(ffi::Py_None()),
                Step::Failed | Step::Standard => return ptr::null_mut(),
                Step::Finish { method, arguments, named } => {
                    let result = PyObject_Call(method, arguments, named);
                    Py_DecRef(method);
                    Py_DecRef(arguments);
                    Py_DecRef(named);
                    return result;
                }
                Step::Ask { method, arguments } => {
                    let result = PyObject_Call(method, arguments, ptr::null_mut());
                    Py_DecRef(method);
                    Py_DecRef(arguments);
                    if result.is_null() {
                        return result;
                    }
                    Py_DecRef(result);
                    text = ptr::null_mut();
                    asked += 1;
                    if asked == ASKED_MAX {
                        way = Way::Standard;
                    }
                }
                Step::Text { message, arguments, way: wanted } => {
                    text = put_together(message, arguments, wanted);
                    Py_DecRef(message);
                    Py_DecRef(arguments);
                    if text.is_null() {
                        // An interruption is none of the message's.
                        if ffi::PyErr_ExceptionMatches(ffi::PyExc_Exception) == 0 {
                            return text;
                        }
                        ffi::PyErr_Clear();
                        if wanted == Way::Loose {
                            return ffi::Py_NewRef(ffi::Py_None());
                        }
                        // The standard path finds the same error and reports it.
                        way = Way::Standard;
                    }
                }
            }
        }
    }
}

/// The message with its arguments; null with an exception set if they do not fit. As `run`, it has nothing to clean up.
unsafe fn put_together(
    message: *mut ffi::PyObject,
    arguments: *mut ffi::PyObject,
    way: Way,
) -> *mut ffi::PyObject {
    // SAFETY: both are alive, and the GIL is held.
    unsafe {
        let text = PyObject_Str(message);
        if text.is_null() || ffi::PyObject_Size(arguments) == 0 {
            return text;
        }
        let whole = PyNumber_Remainder(text, arguments);
        if whole.is_null() && way == Way::Loose && ffi::PyErr_ExceptionMatches(ffi::PyExc_Exception) != 0 {
            ffi::PyErr_Clear();
            return text;
        }
        Py_DecRef(text);
        whole
    }
}

/// Does what can be done without running code in Python.
unsafe fn go_on(given: Given, way: Way, is_enabled: bool, text: *mut ffi::PyObject) -> Step {
    let Given { logger, values, count, names, method, level } = given;
    // SAFETY: as `run` says. There are `count` values, and one more for each name; the pointer may be anything where there
    // are none.
    let (py, logger, values, text) = unsafe {
        let py = Python::assume_attached();
        let named = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
        let all = usize::try_from(count + named).unwrap_or(0);
        let values = if all == 0 { &[] } else { std::slice::from_raw_parts(values, all) };
        (py, Borrowed::from_ptr(py, logger), values, Bound::from_owned_ptr_or_opt(py, text))
    };
    let arguments = Arguments { py, values, names, by_position: usize::try_from(count).unwrap_or(0) };
    let call = Call { logger, arguments, method, level };
    let _none = NoCollection::begin(py);
    // A panic must not reach the interpreter.
    match catch_unwind(AssertUnwindSafe(|| call.go_on(way, is_enabled, text))) {
        Ok(Ok(step)) => step,
        Ok(Err(error)) => fail(py, error),
        Err(_) => fail(py, PyRuntimeError::new_err("a log call of lastwords failed; this is a defect of lastwords")),
    }
}

fn fail(py: Python<'_>, error: PyErr) -> Step {
    error.restore(py);
    Step::Failed
}

/// Makes the methods: their names, levels and documentation.
macro_rules! methods {
    ($($name:ident, $level:expr, $doc:literal;)*) => {
        $(
            unsafe extern "C-unwind" fn $name(
                logger: *mut ffi::PyObject,
                values: *const *mut ffi::PyObject,
                count: ffi::Py_ssize_t,
                names: *mut ffi::PyObject,
            ) -> *mut ffi::PyObject {
                // SAFETY: the arguments are the interpreter's own.
                unsafe { run(Given { logger, values, count, names, method: stringify!($name), level: $level }) }
            }
        )*

        /// The methods by their names, for a subclass of `logging.Logger` and [`FastLogger`].
        #[pyfunction]
        pub(crate) fn fast_methods(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
            let methods = PyDict::new(py);
            CACHE.get_or_init(py, || PyString::intern(py, "_cache").unbind());
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

/// A method in the calling convention that the definition's flags name.
type Method = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// A definition for good: methods keep the pointer. The documentation begins with the name.
fn definition(function: Method, doc: &'static CStr) -> *mut ffi::PyMethodDef {
    // SAFETY: the two types differ in that one may be unwound through, which the caller does not see.
    let function = unsafe { std::mem::transmute::<Method, ffi::PyCFunctionFastWithKeywords>(function) };
    let name: Vec<u8> = doc.to_bytes().iter().copied().take_while(|byte| *byte != b'(').chain([0]).collect();
    Box::into_raw(Box::new(ffi::PyMethodDef {
        ml_name: Box::leak(name.into_boxed_slice()).as_ptr().cast::<c_char>(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }))
}

fn describe(py: Python<'_>, definition: *mut ffi::PyMethodDef) -> PyResult<Bound<'_, PyAny>> {
    let class = py.get_type::<FastLogger>();
    // SAFETY: the definition lives as long as the program, its function has the convention that its flags say, and the
    // result is a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition)) }
}
