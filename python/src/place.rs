//! Where a log call stands.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Source file and line.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Place {
    /// Of the innermost Python function that runs and is none of `logging`: the methods of our logger are none.
    pub(crate) fn of_caller(py: Python<'_>) -> PyResult<Place> {
        let of_logging = module(py, &LOGGING, "logging")?.getattr(intern!(py, "_srcfile"))?;
        if of_logging.is_none() {
            // Whoever sets it so wants no search for callers.
            return Ok(Place { file: "(unknown file)".to_owned(), line: 0 });
        }
        // Where the interpreter itself calls, at its end or at a thread's beginning, there is no function.
        let Ok(mut frame) = module(py, &SYS, "sys")?.call_method0(intern!(py, "_getframe")) else {
            return Ok(Place { file: "(unknown file)".to_owned(), line: 0 });
        };
        let mut file = file_of(&frame)?;
        while file.eq(&of_logging)? {
            let back = frame.getattr(intern!(py, "f_back"))?;
            if back.is_none() {
                break;
            }
            file = file_of(&back)?;
            frame = back;
        }
        let line: Option<u32> = frame.getattr(intern!(py, "f_lineno"))?.extract()?;
        Ok(Place { file: file.str()?.to_string_lossy().into_owned(), line: line.unwrap_or(0) })
    }
}

static LOGGING: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
static SYS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

fn module<'py>(py: Python<'py>, known: &'static PyOnceLock<Py<PyModule>>, name: &str) -> PyResult<&'py Bound<'py, PyModule>> {
    known.get_or_try_init(py, || py.import(name).map(Bound::unbind)).map(|module| module.bind(py))
}

fn file_of<'py>(frame: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    frame.getattr(intern!(py, "f_code"))?.getattr(intern!(py, "co_filename"))
}
