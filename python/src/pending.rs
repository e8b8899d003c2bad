//! A call that the interpreter makes when it is done with the instruction that it is at.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

/// Has `function` called by the main thread soon, with the GIL. If too many such calls wait, at once.
pub(crate) fn call_soon(function: fn()) {
    // SAFETY: `call` has the signature that is asked for, and the argument is the function that it expects.
    let refused = unsafe { pyo3::ffi::Py_AddPendingCall(Some(call), function as *mut c_void) };
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
