//! `python -m lastwords`.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the tool and returns its exit status. `program` is how the tool is started.
#[pyfunction]
pub(crate) fn run_tool(py: Python<'_>, program: Vec<OsString>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| lastwords_cli::run(&program, arguments))
}
