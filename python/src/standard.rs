//! The standard library's `logging`, as it is unmodified: the reference for the fast path of a log call.

use crate::attributes::attributes;
use lastwords::Level;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyInt, PyString, PyType};

static STANDARD: PyOnceLock<Standard> = PyOnceLock::new();

/// Its module, its class of loggers, and what a record passes.
pub(crate) struct Standard {
    module: Py<PyDict>,
    sys: Py<PyDict>,
    logger: Py<PyType>,
    methods: Vec<Method>,
    record: Option<Py<PyAny>>,
    level_names: Py<PyDict>,
}

/// A method in the attributes of its class. None for one that something else stood in the place of at the import already.
struct Method {
    own: Py<PyDict>,
    name: Py<PyString>,
    standard: Option<Py<PyAny>>,
}

/// `(class, name, method)`.
type Named<'py> = (Bound<'py, PyType>, Bound<'py, PyString>, Option<Py<PyAny>>);

/// Takes the standard library's own: its factory of records, and `(class, name, method)` of all that a record passes. What is
/// None had been replaced before.
#[pyfunction]
pub(crate) fn set_standard(
    py: Python<'_>,
    record: Option<Py<PyAny>>,
    methods: Vec<Named<'_>>,
) -> PyResult<()> {
    let module = py.import("logging")?;
    let own = |(class, name, standard): Named<'_>| {
        Ok(Method { own: attributes(class.as_any())?.unbind(), name: name.unbind(), standard })
    };
    let standard = Standard {
        logger: module.getattr("Logger")?.cast_into::<PyType>()?.unbind(),
        methods: methods.into_iter().map(own).collect::<PyResult<_>>()?,
        record,
        level_names: module.getattr("_levelToName")?.cast_into::<PyDict>()?.unbind(),
        module: module.dict().unbind(),
        sys: py.import("sys")?.dict().unbind(),
    };
    let _ = STANDARD.set(py, standard);
    Ok(())
}

/// As the package has set it when it was imported; None before.
pub(crate) fn get(py: Python<'_>) -> Option<&Standard> {
    STANDARD.get(py)
}

impl Standard {
    /// The class `logging.Logger`.
    pub(crate) fn logger<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.logger.bind(py)
    }

    /// The source file of `logging`, by which it recognises its own functions. None if the program wants no search for callers.
    pub(crate) fn source_file<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        let found = self.module.bind(py).get_item(intern!(py, "_srcfile"))?;
        Ok(found.and_then(|found| found.cast_into_exact().ok()))
    }

    /// Whether a standard level has its own name: another one may be new to the handlers.
    pub(crate) fn has_its_name(&self, py: Python<'_>, level: i64) -> PyResult<bool> {
        let name = self.level_names.bind(py).get_item(level)?;
        let name = name.as_ref().and_then(|name| name.cast_exact::<PyString>().ok()?.to_str().ok());
        Ok(name.is_some() && name == Level::new(level as u16).name())
    }

    /// Whether nothing that a record passes was replaced. The classes' own attributes are checked, because a lookup through the
    /// class would run the code of any descriptor there.
    pub(crate) fn is_in_place(&self, py: Python<'_>) -> PyResult<bool> {
        let is = |own: &Py<PyDict>, name: &Bound<'_, PyString>, expected: &Option<Py<PyAny>>| {
            let found = own.bind(py).get_item(name)?;
            Ok(matches!((found, expected), (Some(found), Some(expected)) if found.is(expected)))
        };
        for Method { own, name, standard } in &self.methods {
            if !is(own, name.bind(py), standard)? {
                return Ok(false);
            }
        }
        is(&self.module, intern!(py, "_logRecordFactory"), &self.record)
    }

    /// Whether `sys.stderr` is the one that the interpreter was started with.
    pub(crate) fn has_own_stderr(&self, py: Python<'_>) -> PyResult<bool> {
        let own = self.sys.bind(py);
        let (now, first) = (own.get_item(intern!(py, "stderr"))?, own.get_item(intern!(py, "__stderr__"))?);
        Ok(matches!((now, first), (Some(now), Some(first)) if now.is(&first)))
    }

    /// What `logging.disable` has set for all loggers of this manager. None where it cannot be read from the object itself:
    /// the attribute that is documented is a property in Python.
    pub(crate) fn disabled(manager: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
        let found = attributes(manager)?.get_item(intern!(manager.py(), "_disable"))?;
        Ok(found.and_then(|found| found.cast_exact::<PyInt>().ok()?.extract().ok()))
    }
}
