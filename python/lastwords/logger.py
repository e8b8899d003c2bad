"""Loggers whose methods make no ``LogRecord`` where none is needed."""

from __future__ import annotations

import logging
from types import FunctionType

from lastwords._native import FastLogger, fast_methods, set_standard

#: What a record passes on its way. Code that replaces one of these must see every record.
_WAY = (
    "_log",
    "callHandlers",
    "filter",
    "findCaller",
    "getEffectiveLevel",
    "handle",
    "hasHandlers",
    "isEnabledFor",
    "makeRecord",
)
#: What of it is compared in each call with what came with Python: these are replaced in the class itself, by error trackers
#: for instance.
_COMPARED = (
    (logging.Logger, "callHandlers"),
    (logging.Logger, "handle"),
    (logging.Logger, "makeRecord"),
    (logging.Logger, "_log"),
    (logging.LogRecord, "getMessage"),
)
#: The source of logging: private functions are not meant to be replaced.
_SOURCE = logging._checkLevel.__code__.co_filename  # type: ignore[attr-defined]


def _original(owner: type, name: str) -> object:
    """The method that came with Python, None if it was replaced since."""
    found = owner.__dict__.get(name)
    genuine = type(found) is FunctionType and (found.__code__.co_filename, found.__code__.co_name) == (_SOURCE, name)
    return found if genuine else None


def _original_record() -> object:
    made: object = logging.getLogRecordFactory()
    genuine = isinstance(made, type) and (made.__module__, made.__qualname__) == ("logging", "LogRecord")
    return made if genuine else None


set_standard(_original_record(), [(owner, name, _original(owner, name)) for owner, name in _COMPARED])
_METHODS = fast_methods()


class _StandardWay(dict[int, bool]):
    """What a logger has found out about levels. One that keeps it in this takes the standard way always."""


class Logger(logging.Logger, FastLogger):
    """A ``logging.Logger``, faster.

    Where every handler that a record would reach is one of this package's and nothing was put in the way of the record, no
    ``LogRecord`` is made. The output is the same either way.

    ``get_logger`` and ``setup_logger`` return such loggers. To have all that are made from now on be such::

        logging.setLoggerClass(lastwords.Logger)
    """

    def __new__(cls, *arguments: object, **keywords: object) -> Logger:
        """Makes an object without data of its own, as a ``logging.Logger`` is."""
        return object.__new__(cls)

    def __init_subclass__(cls, **keywords: object) -> None:
        """Gives a subclass that changes the way of a record the methods of ``logging.Logger`` back."""
        super().__init_subclass__(**keywords)
        if any(getattr(cls, name) is not getattr(logging.Logger, name) for name in _WAY):
            for name, method in _METHODS.items():
                if getattr(cls, name) is method:
                    setattr(cls, name, getattr(logging.Logger, name))

    def __setattr__(self, name: str, value: object) -> None:
        """Sets an attribute. A logger whose way of a record is changed takes the standard way from then on."""
        super().__setattr__(name, value)
        if name in _WAY:
            super().__setattr__("_cache", _StandardWay())

    debug = _METHODS["debug"]
    info = _METHODS["info"]
    warning = _METHODS["warning"]
    error = _METHODS["error"]
    critical = _METHODS["critical"]
    log = _METHODS["log"]

    def setLevel(self, level: int | str) -> None:
        """Sets the level, which ``lastwords status`` then shows."""
        super().setLevel(level)
        for handler in self.handlers:
            show = getattr(handler, "show_level", None)
            if show is not None:
                show(self)

    def getChild(self, suffix: str) -> logging.Logger:  # type: ignore[override]
        """The logger below this one, fast as well."""
        return adopt(super().getChild(suffix))


class RootLogger(Logger, logging.RootLogger):
    """The root logger, as fast as others."""


def adopt(logger: logging.Logger) -> logging.Logger:
    """Makes an ordinary logger a fast one. One of a custom class stays as it is."""
    if type(logger) is logging.Logger:
        logger.__class__ = Logger
    elif type(logger) is logging.RootLogger:
        logger.__class__ = RootLogger
    return logger


def adopt_later() -> None:
    """Has loggers that are made from now on be fast ones, unless a custom class is set for them."""
    if logging.getLoggerClass() is logging.Logger:
        logging.setLoggerClass(Logger)
