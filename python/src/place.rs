//! Where a log call stands.

use pyo3::intern;
use pyo3::prelude::*;

/// Source file and line.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Place {
    /// Of the innermost Python function that runs: the methods of our logger are none.
    pub(crate) fn of_caller(py: Python<'_>) -> PyResult<Place> {
        let frame = py.import(intern!(py, "sys"))?.call_method0(intern!(py, "_getframe"))?;
        let file = frame.getattr(intern!(py, "f_code"))?.getattr(intern!(py, "co_filename"))?;
        let line: Option<u32> = frame.getattr(intern!(py, "f_lineno"))?.extract()?;
        Ok(Place { file: file.str()?.to_string_lossy().into_owned(), line: line.unwrap_or(0) })
    }
}
