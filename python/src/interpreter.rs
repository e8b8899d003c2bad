//! What only the interpreter's C interface tells: whether it is the main one, and when it is done with an instruction.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};

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
