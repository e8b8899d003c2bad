"""Loggers whose methods make no ``LogRecord`` where nobody needs one."""

from __future__ import annotations

import abc
import inspect
import logging
import types

from lastwords._native import FastLogger, fast_methods, give_up_short_way

#: What a record passes on its way. Who replaces one of these wants to see every record.
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
_METHODS = fast_methods()


#: What our classes had before somebody replaced it, by class and name.
_replaced: dict[tuple[type, str], object] = {}


class Watched(abc.ABCMeta):
    """The class of our classes, of a kind that goes together with abstract ones.

    While one of them is changed, by a mock for instance, all records go the standard way.
    """

    def __setattr__(cls, name: str, value: object) -> None:
        """Sets an attribute."""
        before = inspect.getattr_static(cls, name, None)
        super().__setattr__(name, value)
        cls._note(name, before)

    def __delattr__(cls, name: str) -> None:
        """Takes an attribute away."""
        before = inspect.getattr_static(cls, name, None)
        super().__delattr__(name)
        cls._note(name, before)

    def _note(cls, name: str, before: object) -> None:
        if name in _WAY and issubclass(cls, Logger) and cls is not Logger:
            cls._take_standard_way_if_changed()
        elif name in _WAY or name in ("emit", "format"):
            if inspect.getattr_static(cls, name, None) is _replaced.setdefault((cls, name), before):
                del _replaced[cls, name]
            give_up_short_way(bool(_replaced))


class Logger(logging.Logger, FastLogger, metaclass=Watched):
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
        cls._take_standard_way_if_changed()

    @classmethod
    def _take_standard_way_if_changed(cls) -> None:
        if any(getattr(cls, name) is not getattr(logging.Logger, name) for name in _WAY):
            for name, method in _METHODS.items():
                if getattr(cls, name) is method:
                    setattr(cls, name, getattr(logging.Logger, name))

    def __setattr__(self, name: str, value: object) -> None:
        """Sets an attribute. A logger whose way of a record is changed gets the methods of ``logging.Logger`` back."""
        super().__setattr__(name, value)
        if name in _WAY:
            for method in _METHODS:
                if method not in self.__dict__:
                    super().__setattr__(method, types.MethodType(getattr(logging.Logger, method), self))

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


def adopt(logger: logging.Logger) -> logging.Logger:
    """Makes an ordinary logger a fast one. One of somebody's own class stays what it is."""
    if type(logger) is logging.Logger:
        logger.__class__ = Logger
    return logger
