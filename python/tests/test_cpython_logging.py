"""CPython's own cases for ``logging``, with our logger class and our handler where they have the standard library's.

What they check of a logger, of its levels, filters and parents, and of a handler at the root, has to be so with ours as well.
Each class runs twice. ``Formatted...`` has a ``RingHandler`` with the case's own formatter at the root, and reads its lines in
the log file. ``Short...`` has one without a formatter and a root logger of our class, so that calls take the way on which no
``LogRecord`` is made; what a case expects of a formatter is put together from the JSON lines.

The cases are the installed interpreter's, unchanged: only what their base class sets up is replaced.
"""

from __future__ import annotations

import importlib
import itertools
import json
import logging
import os
import re
import sys
import unittest
import warnings
from pathlib import Path
from unittest import mock

import lastwords
import pytest

try:
    with warnings.catch_warnings():
        # It imports modules of the standard library that are deprecated.
        warnings.simplefilter("ignore")
        cpython = importlib.import_module("test.test_logging")
except ImportError as error:
    pytest.skip(f"this interpreter comes without CPython's own tests: {error}", allow_module_level=True)

if not issubclass(lastwords.Logger, logging.Logger) or lastwords.Logger is logging.Logger:
    pytest.skip(
        "there are no loggers of ours on this platform: the package falls back to those of logging", allow_module_level=True
    )

# Files and sockets that a case leaves open are the case's, and 3.12 warns of the threads that one of them forks with.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

#: Classes of cases that run here.
CHOSEN = (
    "BasicConfigTest",
    "BasicFilterTest",
    "BuiltinLevelsTest",
    "ChildLoggerTest",
    "ConfigDictTest",
    "ConfigFileTest",
    "CustomLevelsAndFiltersTest",
    "ExceptionTest",
    "HandlerTest",
    "LastResortTest",
    "LogRecordFactoryTest",
    "LogRecordTest",
    "LoggerAdapterTest",
    "LoggerTest",
    "ManagerTest",
    "MemoryHandlerTest",
    "MemoryTest",
    "ModuleLevelMiscTest",
    "QueueHandlerTest",
    "QueueListenerTest",
    "ShutdownTest",
    "StreamHandlerTest",
    "WarningsTest",
)

_FILES = "about a handler of the standard library that writes files"
_FORMATTERS = "about formatters alone"
_NETWORK = "needs a network, and is about a handler of the standard library"
_LISTEN = "needs a network: the configuration comes through a socket"
_PROCESS = "runs a program of its own that has neither our loggers nor our handlers"
_QUEUES = "about queues of multiprocessing, and starts processes for them"

#: What does not run here, and why: classes, and cases of the classes that do.
LEFT_OUT = {
    "BaseTest": "has no cases",
    "BaseFileTest": "has no cases",
    "BufferingFormatterTest": _FORMATTERS,
    "DatagramHandlerTest": _NETWORK,
    "EncodingTest": _FILES,
    "FileHandlerTest": _FILES,
    "FormatterTest": _FORMATTERS,
    "HTTPHandlerTest": _NETWORK,
    "IPv6SysLogHandlerTest": _NETWORK,
    "MiscTestCase": "about the names that the module logging exports",
    "NTEventLogHandlerTest": "about a handler for Windows",
    "RotatingFileHandlerTest": _FILES,
    "SMTPHandlerTest": _NETWORK,
    "SocketHandlerTest": _NETWORK,
    "SysLogHandlerTest": _NETWORK,
    "TimedRotatingFileHandlerTest": _FILES,
    "UnixDatagramHandlerTest": _NETWORK,
    "UnixSocketHandlerTest": _NETWORK,
    "UnixSysLogHandlerTest": _NETWORK,
    "ConfigDictTest.test_config_queue_handler": _QUEUES,
    "ConfigDictTest.test_config_queue_handler_multiprocessing_context": _QUEUES,
    "ConfigDictTest.test_listen_config_10_ok": _LISTEN,
    "ConfigDictTest.test_listen_config_1_ok": _LISTEN,
    "ConfigDictTest.test_listen_verify": _LISTEN,
    "ConfigDictTest.test_multiprocessing_queues": _QUEUES,
    "HandlerTest.test_race": _FILES + ", and takes 6 s",
    "ModuleLevelMiscTest.test_logging_at_shutdown": _PROCESS,
    "ModuleLevelMiscTest.test_logging_at_shutdown_open": _PROCESS,
    "ModuleLevelMiscTest.test_recursion_error": _PROCESS,
}

#: The head of a record in a log file, with the pid.
_HEAD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[(\d+)\] \[[^\]]*\] ", re.MULTILINE)

#: The log folder of the whole run. Cases share two rings, as long as none of them closes all handlers.
folder: Path


@pytest.fixture(scope="module", autouse=True)
def _log_folder(tmp_path_factory):
    """Makes the rings before a case sets up ``logging``: what our package does at its first ring is to outlast the case."""
    global folder
    folder = tmp_path_factory.mktemp("cpython")
    handlers = [lastwords.RingHandler("formatted", folder), lastwords.RingHandler("short", folder, format="json")]
    yield
    for handler in handlers:
        handler.close()


class LogFile:
    """What a handler has written to a log file since this was made, in the place of a case's ``StringIO``.

    Lines of forked children come at some time or other, and are none of it.
    """

    def __init__(self, handler: lastwords.RingHandler, path: Path) -> None:
        self.handler = handler
        self.path = path
        self.start = len(self.flushed())

    def flushed(self) -> bytes:
        self.handler.flush()
        return self.path.read_bytes() if self.path.exists() else b""

    def getvalue(self) -> str:
        _, *parts = _HEAD.split(self.flushed()[self.start :].decode())
        return "".join(text for pid, text in zip(parts[::2], parts[1::2], strict=True) if int(pid) == os.getpid())

    def read(self) -> str:
        """What follows the end, to which a ``StringIO`` that was written to is wound: nothing."""
        return ""

    def close(self) -> None:
        """Does nothing: the log file is not the case's."""


class JsonLines(LogFile):
    """The same of a file of JSON lines, shown as a formatter would have shown the records."""

    def __init__(self, handler: lastwords.RingHandler, path: Path, log_format: str) -> None:
        super().__init__(handler, path)
        self.log_format = log_format

    def getvalue(self) -> str:
        lines = map(json.loads, self.flushed()[self.start :].splitlines())
        return "".join(self.show(line) for line in lines if line["pid"] == os.getpid())

    def show(self, line: dict[str, object]) -> str:
        shown = {"name": line["target"], "levelname": line["level"], "message": line["message"]}
        return self.log_format % shown + "\n"


class InPlace:
    """Puts what is ours into the place of what a case would have."""

    #: Methods of CPython's base class, which its subclasses call by its name.
    base = {name: getattr(cpython.BaseTest, name) for name in ("setUp", "tearDown")}

    def setUp(self) -> None:
        self.addCleanup(logging.setLoggerClass, logging.getLoggerClass())
        logging.setLoggerClass(lastwords.Logger)
        self._take_away_what_is_of_pytest()
        with mock.patch.object(cpython.BaseTest, "setUp", InPlace.base_set_up):
            super().setUp()
        if type(getattr(self, "logger", None)) is logging.Logger:
            # The case has made one by its class.
            self.logger.__class__ = lastwords.Logger

    def _take_away_what_is_of_pytest(self) -> None:
        """The cases expect a root logger without handlers, and that warnings are printed."""
        self.addCleanup(logging.root.handlers.extend, logging.root.handlers[:])
        logging.root.handlers.clear()
        printing = mock.patch.object(warnings, "_showwarnmsg_impl", _print_warning)
        printing.start()
        self.addCleanup(printing.stop)

    def base_set_up(self) -> None:
        """Does what ``BaseTest.setUp`` does, with another handler at the root."""
        InPlace.base["setUp"](self)
        self.root_logger.removeHandler(self.root_hdlr)
        self.root_hdlr.close()
        self.root_hdlr, self.stream = self.make_handler()
        self.root_logger.addHandler(self.root_hdlr)

    def make_handler(self) -> tuple[logging.Handler, LogFile]:
        handler = lastwords.RingHandler("formatted", folder)
        handler.setFormatter(self.root_formatter)
        return handler, LogFile(handler, folder / "formatted.log")


class InPlaceShort(InPlace):
    """The same without a formatter, and with a root logger of our class."""

    def setUp(self) -> None:
        self.addCleanup(setattr, logging.root, "__class__", type(logging.root))
        logging.root.__class__ = lastwords.Logger
        super().setUp()

    def make_handler(self) -> tuple[logging.Handler, LogFile]:
        handler = lastwords.RingHandler("short", folder, format="json")
        return handler, JsonLines(handler, folder / "short.jsonl", self.log_format)


def _print_warning(message: warnings.WarningMessage) -> None:
    print(warnings._formatwarnmsg(message), end="", file=message.file or sys.stderr)


def _with_ours(name: str, mixin: type) -> type[unittest.TestCase]:
    """The class of this name with ours in place, without the cases that are left out."""
    without = {case.partition(".")[2]: None for case in LEFT_OUT if case.startswith(f"{name}.")}
    return type(name, (mixin, getattr(cpython, name)), {"__module__": __name__, **without})


for prefix, mixin in (("Formatted", InPlace), ("Short", InPlaceShort)):
    globals().update({prefix + name: _with_ours(name, mixin) for name in CHOSEN})


def test_each_class_runs_or_is_left_out_for_a_reason():
    classes = {name for name, found in vars(cpython).items() if isinstance(found, type) and issubclass(found, unittest.TestCase)}
    left_out = {name for name in LEFT_OUT if "." not in name}
    assert not set(CHOSEN) & left_out
    assert classes - left_out == set(CHOSEN)


def test_short_cases_make_no_record_of_their_own():
    """Otherwise they would say nothing of the way that they are for."""
    case = globals()["ShortBuiltinLevelsTest"]("test_flat")
    made = itertools.count()
    with mock.patch.object(logging.LogRecord, "__init__", lambda *_, **__: next(made)):
        case.setUp()
        logger = logging.getLogger("INF")
        logger.setLevel(logging.INFO)
        assert logger.isEnabledFor(logging.INFO)
        logger.info("1")
    case.assert_log_lines([("INF", "INFO", "1")])
    case.tearDown()
    assert next(made) == 0
