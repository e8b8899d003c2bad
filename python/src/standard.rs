//! The standard library's `logging`, as it is unmodified: the reference for the fast path of a log call.

use crate::attributes::{self, Expected, attributes};
use lastwords::Level;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};
use std::iter;

static STANDARD: PyOnceLock<Standard> = PyOnceLock::new();

/// Its module, its class of loggers, and what a record passes.
pub(crate) struct Standard {
    module: Py<PyDict>,
    sys: Py<PyDict>,
    logger: Py<PyType>,
    /// The methods in the attributes of their classes, and the factory of records. None if something else stood in the place of
    /// one at the import already.
    way: Option<Vec<Expected>>,
    level_names: Py<PyDict>,
    /// Levels that had their own names at the import, and these.
    own_names: Vec<(i64, Expected)>,
}

/// `(class, name, method)`.
type Named<'py> = (Bound<'py, PyType>, Bound<'py, PyString>, Option<Bound<'py, PyAny>>);

/// Takes the standard library's own: its factory of records, and `(class, name, method)` of all that a record passes. What is
/// None had been replaced before.
#[pyfunction]
pub(crate) fn set_standard<'py>(
    py: Python<'py>,
    record: Option<Bound<'py, PyAny>>,
    methods: Vec<Named<'py>>,
) -> PyResult<()> {
    let module = py.import("logging")?;
    let level_names = module.getattr("_levelToName")?.cast_into::<PyDict>()?;
    let factory = (module.dict(), intern!(py, "_logRecordFactory").clone(), record);
    let methods = methods.into_iter().map(|(class, name, method)| Ok((attributes(class.as_any())?, name, method)));
    let way: Vec<_> = iter::once(Ok(factory)).chain(methods).collect::<PyResult<_>>()?;
    let way = way.iter().map(|(own, name, value)| Some(Expected::new(own, name, value.as_ref()?))).collect();
    let own_name = |level: i64| {
        let name = level_names.get_item(level)?.filter(|name| is_own_name(name, level));
        let number = level.into_pyobject(py)?;
        Ok(name.map(|name| (level, Expected::new(&level_names, &number, &name))))
    };
    let own_names = [10, 20, 30, 40, 50].into_iter().filter_map(|level| own_name(level).transpose()).collect::<PyResult<_>>()?;
    let standard = Standard {
        logger: module.getattr("Logger")?.cast_into::<PyType>()?.unbind(),
        way,
        own_names,
        level_names: level_names.unbind(),
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

/// Whether a standard level's name is that which it has here as well.
fn is_own_name(name: &Bound<'_, PyAny>, level: i64) -> bool {
    let name = name.cast_exact::<PyString>().ok().and_then(|name| name.to_str().ok());
    name.is_some() && name == Level::new(level as u16).name()
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
        if let Some((_, name)) = self.own_names.iter().find(|(known, _)| *known == level)
            && name.is_there(py)?
        {
            return Ok(true);
        }
        Ok(self.level_names.bind(py).get_item(level)?.is_some_and(|name| is_own_name(&name, level)))
    }

    /// Whether nothing that a record passes was replaced. The classes' own attributes are checked, because a lookup through the
    /// class would run the code of any descriptor there.
    pub(crate) fn is_in_place(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(way) = &self.way else { return Ok(false) };
        for expected in way {
            if !expected.is_there(py)? {
                return Ok(false);
            }
        }
        Ok(true)
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
        attributes::integer(&attributes(manager)?, intern!(manager.py(), "_disable"))
    }
}
