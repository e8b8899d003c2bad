//! The place of a log call.

use crate::interpreter::Frame;
use crate::ring::readable;
use crate::standard;
use pyo3::prelude::*;

/// Source file and line.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Place {
    /// Of the innermost running Python function outside `logging`; the methods of our logger are not Python functions.
    pub(crate) fn of_caller(py: Python<'_>) -> PyResult<Place> {
        let unknown = || Place { file: "(unknown file)".to_owned(), line: 0 };
        let Some(of_logging) = standard::get(py).map_or(Ok(None), |standard| standard.source_file(py))? else {
            // A program that sets it so wants no search for callers.
            return Ok(unknown());
        };
        // Where the interpreter itself calls, at its end or at a thread's beginning, there is no function.
        let Some(mut frame) = Frame::innermost(py) else { return Ok(unknown()) };
        let mut file = frame.file()?;
        while file == readable(&of_logging)? {
            let Some(back) = frame.back()? else { break };
            file = back.file()?;
            frame = back;
        }
        Ok(Place { file, line: frame.line() })
    }
}
