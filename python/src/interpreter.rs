//! What only the interpreter's C interface reports or does: whether it is the main one, when it is done with an instruction,
//! what it runs, and that it collects no garbage.
#![allow(unsafe_code)]

use crate::ring::readable;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the calling code runs in the process's main interpreter. Its number is 0.
#[pyfunction]
pub(crate) fn is_main_interpreter() -> bool {
    // SAFETY: a function that Python calls holds the GIL, which is all that is asked for.
    unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) == 0 }
}

/// Has `function` called by the main thread soon, with the GIL. If too many such calls wait, at once.
pub(crate) fn call_soon(function: fn()) {
    // SAFETY: `call` has the signature that is asked for, and the argument is the function that it expects.
    let refused = unsafe { ffi::Py_AddPendingCall(Some(call), function as *mut c_void) };
    if refused != 0 {
        function();
    }
}

extern "C" fn call(function: *mut c_void) -> c_int {
    // SAFETY: the pointer was made from a function of this type by `call_soon`.
    let function = unsafe { std::mem::transmute::<*mut c_void, fn()>(function) };
    function();
    0
}

/// A function in Python that runs. Its attributes in Python hold the same, but they are audited: a program's own hooks would
/// run.
pub(crate) struct Frame<'py>(Bound<'py, PyAny>);

impl<'py> Frame<'py> {
    /// The innermost one; None where there is none.
    pub(crate) fn innermost(py: Python<'py>) -> Option<Frame<'py>> {
        // SAFETY: the GIL is held, and the result is null or borrowed from the thread's state, which keeps it while we run.
        let found = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) };
        found.map(Frame)
    }

    /// The one that called it.
    pub(crate) fn back(&self) -> PyResult<Option<Frame<'py>>> {
        let back = self.0.getattr(intern!(self.0.py(), "f_back"))?;
        Ok((!back.is_none()).then_some(Frame(back)))
    }

    /// Its source file.
    pub(crate) fn file(&self) -> PyResult<String> {
        let py = self.0.py();
        // SAFETY: it is a frame, and the result a new reference to its code, which every frame has.
        let code = unsafe { Bound::from_owned_ptr(py, ffi::PyFrame_GetCode(self.0.as_ptr().cast()).cast()) };
        let file = code.getattr(intern!(py, "co_filename"))?;
        Ok(readable(file.cast::<PyString>()?)?.into_owned())
    }

    /// The line that it is at, 0 where the interpreter does not know.
    pub(crate) fn line(&self) -> u32 {
        // SAFETY: it is a frame, and the GIL is held.
        let line = unsafe { ffi::PyFrame_GetLineNumber(self.0.as_ptr().cast()) };
        u32::try_from(line).unwrap_or(0)
    }
}

/// Whether a [`NoCollection`] has switched the collector off.
static HELD: AtomicBool = AtomicBool::new(false);

/// Keeps the interpreter from collecting garbage. Before 3.12 any allocation may do that, and finalizers in Python run then;
/// later versions wait for the end of an instruction.
pub(crate) struct NoCollection {
    held: bool,
}

impl NoCollection {
    /// From now on, until it is dropped. Both with the GIL held.
    pub(crate) fn begin(py: Python<'_>) -> NoCollection {
        static IN_ALLOCATIONS: PyOnceLock<bool> = PyOnceLock::new();
        let held = *IN_ALLOCATIONS.get_or_init(py, || py.version_info() < (3, 12)) && switch_off();
        HELD.store(held, Ordering::Relaxed);
        NoCollection { held }
    }

    /// Lets go of the GIL for the time of `work`, in which others find the collector as they left it.
    pub(crate) fn detach<T: Send>(py: Python<'_>, work: impl Send + FnOnce() -> T) -> T {
        let held = HELD.swap(false, Ordering::Relaxed);
        if held {
            switch_on();
        }
        let made = py.detach(work);
        if held && switch_off() {
            HELD.store(true, Ordering::Relaxed);
        }
        made
    }
}

impl Drop for NoCollection {
    fn drop(&mut self) {
        if self.held && HELD.swap(false, Ordering::Relaxed) {
            switch_on();
        }
    }
}

/// Whether it was on.
fn switch_off() -> bool {
    // SAFETY: the GIL is held, which is all that is asked for. Present in 3.10 and later.
    unsafe { ffi::PyGC_Disable() != 0 }
}

fn switch_on() {
    // SAFETY: as above.
    unsafe { ffi::PyGC_Enable() };
}
