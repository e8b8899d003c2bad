"""What is in the log files does not depend on the way that a call takes.

A ``lastwords.Logger`` makes no ``LogRecord`` where nobody could tell the difference. Here somebody tries to. Everything is
logged three times: by such a logger as it comes, by one with a filter, which has to see records, and by a plain
``logging.Logger``. Lines, JSON lines with source file and line, what is printed of errors, what is raised, and what others
see of the records must be the same.
"""

from __future__ import annotations

import atexit
import contextlib
import decimal
import enum
import io
import json
import logging
import os
import re
import sys
import tempfile
import types
import warnings
from collections import UserDict, UserString
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import lastwords
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

if not issubclass(lastwords.RingHandler, logging.Handler) or lastwords.Logger is logging.Logger:
    pytest.skip(
        "there is one way only on this platform: the package falls back to the loggers of logging", allow_module_level=True
    )

# What hypothesis keeps for itself would be among the sources else. It begins when strategies are made.
_hypothesis_home = tempfile.TemporaryDirectory(prefix="lastwords-hypothesis-")
atexit.register(_hypothesis_home.cleanup)
set_hypothesis_home_dir(_hypothesis_home.name)

WAYS = ("short", "with a filter", "plain")

#: The time at the beginning of a line; what follows is compared.
_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (?=\[\d+\] \[)", re.MULTILINE)
_ADDRESS = re.compile(r"0x[0-9a-f]+")

#: The log folder of the whole run. A ring lives as long as its process, so that scenarios share rings.
folder: Path


@pytest.fixture(scope="module", autouse=True)
def _log_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global folder
    folder = tmp_path_factory.mktemp("parity")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undoes what a scenario that failed has left."""
    names = dict(logging._levelToName), dict(logging._nameToLevel)
    kept = logging.getLoggerClass(), logging.getLogRecordFactory(), logging.root.manager.disable
    yield
    for levels, saved in zip((logging._levelToName, logging._nameToLevel), names, strict=True):
        levels.clear()
        levels.update(saved)
    logging.setLoggerClass(kept[0])
    logging.setLogRecordFactory(kept[1])
    logging.disable(kept[2])


class Setting:
    """What a scenario logs with: a logger that has a ``RingHandler``, and one below it."""

    def __init__(self, way: str, role: str) -> None:
        self.way = way
        self.role = f"{role}-{WAYS.index(way)}"
        self.base: type[logging.Logger] = logging.Logger if way == "plain" else lastwords.Logger
        #: What others than the log file have seen.
        self.seen: list[object] = []
        self.handler = self.make_handler()
        self.logger = self.make_logger("parity", self.base)
        self.logger.propagate = False
        self.logger.addHandler(self.handler)
        self.child = self.make_logger("parity.child", self.base)

    def make_handler(self, of: type[lastwords.RingHandler] = lastwords.RingHandler) -> lastwords.RingHandler:
        return of(self.role, folder, format="both", lanes=3, rotate_size=1 << 30)

    def make_logger(self, name: str, of: type[logging.Logger]) -> logging.Logger:
        """Makes a logger that the manager knows, as ``logging.getLogger`` does, in the place of one of that name."""
        known = logging.root.manager.loggerDict
        for replaced in [other for other in known if f"{other}.".startswith(f"{name}.")]:
            del known[replaced]
        logging.setLoggerClass(of)
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG if name == "parity" else logging.NOTSET)
        if self.way == "with a filter":
            logger.addFilter(lambda record: True)
        return logger

    def own_logger(self, of: type[logging.Logger]) -> logging.Logger:
        """A logger of another class, in the place of the one that there is."""
        self.logger = self.make_logger("parity", of)
        self.logger.propagate = False
        self.logger.addHandler(self.handler)
        return self.logger

    def attempt(self, call: Callable[..., object], *arguments: object, **keywords: object) -> None:
        """Makes a call that may raise an exception, and notes it."""
        try:
            call(*arguments, **keywords)
        except Exception as error:
            self.seen.append((type(error), str(error)))


Scenario = Callable[[Setting], object]


@dataclass
class Outcome:
    """What came of a scenario."""

    lines: list[str]
    json: list[dict[str, Any]]
    printed: str
    seen: list[object]
    #: Records that were made; the only thing that may differ.
    records: int = field(compare=False)


def outcome(scenario: Scenario, way: str, role: str) -> Outcome:
    at = Setting(way, role)
    text, jsonl = File(at.handler, f"{at.role}.log"), File(at.handler, f"{at.role}.jsonl")
    errors = io.StringIO()
    with counted_records() as records, contextlib.redirect_stderr(errors):
        scenario(at)
    shown = _TIME.sub("", text.added())
    parsed = [json.loads(line) for line in jsonl.added().splitlines()]
    for line in parsed:
        # Of each record another one; what a flusher says itself has no id.
        del line["time"], line["role"]
        line.pop("id", None)
        # A record that came to the handler a while after it was made, on a busy machine.
        line.pop("received", None)
    return Outcome(shown.split("\n"), parsed, _ADDRESS.sub("0x", errors.getvalue()), at.seen, len(records))


class File:
    """What is added to a log file from now on."""

    def __init__(self, handler: lastwords.RingHandler, name: str) -> None:
        self.handler, self.path = handler, folder / name
        self.start = len(self._flushed())

    def _flushed(self) -> bytes:
        self.handler.flush()
        return self.path.read_bytes() if self.path.exists() else b""

    def added(self) -> str:
        return self._flushed()[self.start :].decode()


@contextlib.contextmanager
def counted_records() -> Iterator[list[None]]:
    """Counts the records that are made. The fast path does not check how a record is made, but what makes it."""
    made: list[None] = []
    make = logging.LogRecord.__init__

    def counting(*arguments: object, **keywords: object) -> None:
        made.append(None)
        make(*arguments, **keywords)

    with mock.patch.object(logging.LogRecord, "__init__", counting):
        yield made


def same(scenario: Scenario, role: str = "same") -> list[Outcome]:
    """Runs a scenario on each way, and compares what comes of it."""
    outcomes = [outcome(scenario, way, role) for way in WAYS]
    short, filtered, plain = outcomes
    assert filtered == plain
    assert short == plain
    return outcomes


# What is logged.

HEAD = "2026-11-24 18:17:33.471 [1] [INFO] no line of its own"


class Named(enum.IntEnum):
    SEVEN = 7


class Odd:
    """Shows itself in different ways, and by a count how often."""

    def __str__(self) -> str:
        return "an odd one"

    def __repr__(self) -> str:
        return "Odd()"


class Failing:
    def __str__(self) -> str:
        raise ValueError("cannot be shown")


#: Calls that need no record.
SHORT_CALLS: dict[str, Callable[[logging.Logger], object]] = {
    "text": lambda log: log.info("plain text"),
    "empty text": lambda log: log.info(""),
    "f-string": lambda log: log.info(f"{1 + 1} and {'text'!r}"),
    "percent signs without arguments": lambda log: log.info("100% of %s and %d %% %"),
    "percent signs with arguments": lambda log: log.info("%d%% of %%s %%%s", 7, "all"),
    "each level": lambda log: [getattr(log, name)(name) for name in ("debug", "info", "warning", "error", "critical")],
    "each standard level by its number": lambda log: [log.log(level, "%d", level) for level in (10, 20, 30, 40, 50)],
    "strings and numbers": lambda log: log.info("%s %d %i %.3f %f %5d|%-5s|%05.1f", "text", 7, -7, 1.5, 2.5, 3, "left", 2.25),
    "numbers in other bases": lambda log: log.info("%x %X %o %#x %e %g %c %+d % d", 255, 255, 8, 255, 1e9, 1e-9, "c", 1, 2),
    "representations": lambda log: log.info("%r %a %s", "ü'", "ü'", [1, "2", None]),
    "widths that are arguments": lambda log: log.info("%*d|%-*s|%.*f", 5, 1, 5, "x", 2, 1.234),
    "large numbers": lambda log: log.info("%d %s %d %.0f", 10**30, -(2**63), 2**63, 1e300),
    "floats that are no numbers": lambda log: log.info("%s %f %s %.1f", float("nan"), float("inf"), -0.0, float("-inf")),
    "truth values and None": lambda log: log.info("%s %s %s %d %r", True, False, None, True, None),
    "one None": lambda log: log.info("%s", None),
    "one zero": lambda log: log.info("%d", 0),
    "one empty string": lambda log: log.info("[%s]", ""),
    "names in a dictionary": lambda log: log.info("%(one)s and %(two)05d", {"one": 1, "two": 2, "three": 3}),
    "a dictionary as text": lambda log: log.info("%s", {"one": 1}),
    "an empty dictionary": lambda log: log.info("%s", {}),
    "two dictionaries": lambda log: log.info("%s %s", {"one": 1}, {}),
    "a tuple": lambda log: log.info("%s", (1, 2)),
    "an empty tuple": lambda log: log.info("%s", ()),
    "a list": lambda log: log.info("%s", [1, 2]),
    "objects beside others": lambda log: log.info("%s %r %s", Odd(), Odd(), decimal.Decimal("1.50")),
    "newlines": lambda log: log.info("one\ntwo\r\nthree\n\n"),
    "what looks like another record": lambda log: log.info("one\n%s\n", HEAD),
    "control characters": lambda log: log.info("".join(map(chr, range(32))) + "\x7f\x80\x9b\u2028\u202e\ufeff"),
    "escapes": lambda log: log.info("\x1b[31mred\x1b[0m \\x1b %s", "\x1b]0;title\x07"),
    "a NUL": lambda log: log.info("before\0after %s", "\0"),
    "letters of the world": lambda log: log.info("größer ☂ 😀 %s", "日本語"),
    "several megabytes": lambda log: log.info("%s|%s", "long " * 700_000, "ü\n" * 300_000),
    "a level that is disabled": lambda log: (log.setLevel(logging.ERROR), log.info("no"), log.log(5, "no"), log.error("yes")),
}

#: Calls that must be made with a record, or may be.
LONG_CALLS: dict[str, Callable[[logging.Logger], object]] = {
    "an object": lambda log: log.info("%s", Odd()),
    "an enumeration": lambda log: log.info("%d %s %r", Named.SEVEN, Named.SEVEN, Named.SEVEN),
    "one of an enumeration": lambda log: log.info("%d", Named.SEVEN),
    "a mapping that is no dictionary": lambda log: log.info("%(one)s", UserDict(one=1)),
    "a mapping as text": lambda log: log.info("%s", UserDict(one=1)),
    "an empty mapping": lambda log: log.info("%s", UserDict()),
    "bytes as an argument": lambda log: log.info("%s", b"by\xfftes"),
    "message of bytes": lambda log: log.info(b"by\xfftes"),
    "message of bytes with arguments": lambda log: log.info(b"%d", 7),
    "message None": lambda log: log.info(None),
    "message None with arguments": lambda log: log.info(None, 1),
    "message of a number": lambda log: log.info(7),
    "message of a list": lambda log: log.info(["a", 1]),
    "message of a tuple": lambda log: log.info(("%s", 1)),
    "message of a dictionary": lambda log: log.info({"a": 1}),
    "message of an exception": lambda log: log.error(ValueError("what it says")),
    "message of an object": lambda log: log.info(Odd()),
    "message of an object with arguments": lambda log: log.info(UserString("%s!"), "argument"),
    "message that is a kind of text": lambda log: log.info(type("Text", (str,), {"__str__": lambda text: "shown"})("held")),
    "message that cannot be shown": lambda log: log.info(Failing()),
    "an argument that cannot be shown": lambda log: (log.info("%s", Failing()), log.info("%s %s", 1, Failing())),
    "too few arguments": lambda log: log.info("%s %s", 1),
    "too many arguments": lambda log: log.info("%s", 1, 2),
    "arguments without a place": lambda log: log.info("text", 1),
    "an argument of the wrong kind": lambda log: log.info("%d", "text"),
    "a tuple for two places": lambda log: log.info("%s %s", (1, 2)),
    "a name that the dictionary has not": lambda log: log.info("%(two)s", {"one": 1}),
    "an unknown directive": lambda log: log.info("%y", 1),
    "a directive that is cut off": lambda log: log.info("%", 1),
    "after an error it goes on": lambda log: (log.info("%d", "text"), log.info("goes on")),
    "surrogates": lambda log: (log.info("\udc80 %s", 1), log.info("%s %s", 1, "\ud800"), log.info("\udfff")),
    "message by its name": lambda log: log.info(msg="by its name"),
    "level and message by their names": lambda log: log.log(level=20, msg="by its name"),
    "custom levels": lambda log: [log.log(level, "at %d", level) for level in (11, 25, 60, 1000, 70_000)],
    "fine levels": lambda log: (log.setLevel(1), log.log(2, "two"), log.log(1, "one"), log.log(0, "none"), log.log(-1, "none")),
    "a truth value as the level": lambda log: (log.setLevel(1), log.log(True, "one")),
    "an enumeration as the level": lambda log: log.log(enum.IntEnum("Level", {"LOUD": 40}).LOUD, "loud"),
    "extra": lambda log: log.info(
        "in", extra={"user": "ada", "tries": 3, "ratio": 0.5, "ok": True, "nothing": None, "odd": Odd()}
    ),
    "extra that is empty": lambda log: log.info("in", extra={}),
    "stack_info": lambda log: log.info("here", stack_info=True),
    "no stack_info": lambda log: log.info("here", stack_info=False),
    "stacklevel": lambda log: [log.info("level %d", level, stacklevel=level) for level in (1, 2, 3, 100)],
    "exc_info without an exception": lambda log: log.info("nothing", exc_info=True),
    "exc_info False": lambda log: log.info("nothing", exc_info=False),
    "exc_info None": lambda log: log.info("nothing", exc_info=None),
    "exc_info of an exception": lambda log: log.info("given", exc_info=caught()),
    "exc_info of a tuple": lambda log: log.info("given", exc_info=(type(error := caught()), error, error.__traceback__)),
    "exc_info of an empty tuple": lambda log: log.info("given", exc_info=(None, None, None)),
    "exception without one": lambda log: log.exception("nothing"),
    "fatal": lambda log: log.fatal("worst"),
}

#: Calls that raise an exception.
WRONG_CALLS: dict[str, Callable[[logging.Logger], object]] = {
    "no message": lambda log: log.info(),
    "no message for a level": lambda log: log.log(20),
    "neither level nor message": lambda log: log.log(),
    "no message at a disabled level": lambda log: (log.setLevel(50), log.info()),
    "level as text": lambda log: log.log("INFO", "text"),
    "level None": lambda log: log.log(None, "text"),
    "level as a float": lambda log: log.log(20.0, "text"),
    "a keyword that there is not": lambda log: log.info("text", colour="red"),
    "a keyword that there is not at a disabled level": lambda log: (log.setLevel(50), log.info("text", colour="red")),
    "the message twice": lambda log: log.info("text", msg="text"),
    "extra that would overwrite": lambda log: log.info("text", extra={"message": 1}),
    "extra that is no mapping": lambda log: log.info("text", extra=7),
    "a level as text that is set": lambda log: log.setLevel("LOUD"),
}


def caught() -> Exception:
    """An exception with a traceback."""
    try:
        raise KeyError("key") from ValueError("cause")
    except KeyError as error:
        return error


def _each(table: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", table.values(), ids=table)


@_each(SHORT_CALLS)
def test_a_call_that_needs_no_record_makes_none_and_nobody_can_tell(call):
    short, _, plain = same(lambda at: call(at.logger))
    assert short.records == 0 < plain.records
    assert len(plain.json) > 0 and plain.printed == ""


@_each(LONG_CALLS)
@pytest.mark.parametrize("raising", [True, False])
def test_a_call_of_another_kind(call, raising):
    with mock.patch.object(logging, "raiseExceptions", raising):
        plain = same(lambda at: call(at.logger))[2]
    assert raising <= bool(plain.json or plain.printed)


@_each(WRONG_CALLS)
@pytest.mark.parametrize("raising", [True, False])
def test_what_is_wrong_with_a_call_is_raised(call, raising):
    def scenario(at: Setting) -> None:
        at.attempt(call, at.logger)
        at.logger.setLevel(logging.DEBUG)
        at.logger.error("goes on")

    with mock.patch.object(logging, "raiseExceptions", raising):
        plain = same(scenario)[2]
    assert plain.json[-1]["message"] == "goes on"


# How loggers are set up, and what code does around a call.


@dataclass
class Case:
    """A scenario, and what is expected of its outcome: what is found, and what it should be."""

    scenario: Scenario
    expected: Callable[[Outcome], tuple[object, object]]
    role: str
    #: Attributes of ``logging`` that have another value meanwhile.
    patched: dict[str, object]


CASES: dict[str, Case] = {}


def case(
    expected: Callable[[Outcome], tuple[object, object]], *given: object, role: str = "same", **patched: object
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Adds a scenario to the table; ``given`` are its arguments beside the setting."""

    def add(scenario: Callable[..., object]) -> Callable[..., object]:
        changed = [str(getattr(value, "__name__", value)) for value in (*given, *patched.values())]
        name = "-".join([scenario.__name__, *changed])
        CASES[name] = Case(lambda at: scenario(at, *given), expected, role, patched)
        return scenario

    return add


def _messages(outcome: Outcome) -> list[str]:
    return [line["message"] for line in outcome.json]


SHOWN = "--- Logging error ---\nTraceback (most recent call last):\n", "Message: '%d'\nArguments: ('text',)\n"


@case(lambda got: ((got.printed.startswith(SHOWN[0]), SHOWN[1] in got.printed), (True, True)), raiseExceptions=True)
@case(lambda got: (got.printed, ""), raiseExceptions=False)
def errors_are_shown_as_logging_shows_them(at: Setting) -> None:
    at.logger.info("%d", "text")


@case(lambda got: ([line["exception"].splitlines()[-1] for line in got.json], ["KeyError: 'key'"] * 3))
def exception_in_a_handler_of_one(at: Setting) -> None:
    try:
        raise KeyError("key")
    except KeyError:
        at.logger.exception("failed at %d", 7)
        at.logger.error("the same", exc_info=True)
        at.logger.info("once more", exc_info=sys.exc_info())


def _named(outcome: Outcome) -> tuple[object, object]:
    return _messages(outcome), [f"named {line['level']}" for line in outcome.json]


@case(_named, logging.INFO, role=f"named{logging.INFO}")
@case(_named, 25, role="named25")
def names_of_levels(at: Setting, level: int) -> None:
    """A line shows the name that its level has when the line is written, so each is written before the name changes."""
    before = logging.getLevelName(level)
    for name in (before, "NOTICE", "REMARK", before):
        logging.addLevelName(level, name)
        at.logger.log(level, "named %s", name)
        at.handler.flush()


@case(_named, role="two")
def a_name_of_a_level_where_two_handlers_write_to_one_ring(at: Setting) -> None:
    at.child.addHandler(at.make_handler())
    at.child.propagate = False
    before = logging.getLevelName(25)
    for logger, name in ((at.logger, "NOTICE"), (at.child, before), (at.logger, "NOTICE"), (at.child, before)):
        logging.addLevelName(25, name)
        logger.log(25, "named %s", name)
        at.handler.flush()


@case(lambda got: ([line["level"] for line in got.json], ["Information"]), role="earlier")
def a_name_of_a_standard_level_from_before_the_handler(at: Setting) -> None:
    with mock.patch.dict(logging._levelToName, {logging.INFO: "Information"}):
        at.logger.removeHandler(at.handler)
        at.logger.addHandler(at.make_handler())
        at.logger.info("renamed")
        at.handler.flush()


class Adapter(logging.LoggerAdapter):
    """Gives no extra."""

    def process(self, msg, kwargs):
        return f"plain {msg}", kwargs


@case(lambda got: (got.json[0]["fields"], {"user": "ada"}))
def adapters(at: Setting) -> None:
    of_logging = [logging.LoggerAdapter(at.logger, extra) for extra in ({"user": "ada"}, None)]
    for adapter in (*of_logging, Adapter(at.logger, {})):
        adapter.info("number %d", 7)
        adapter.log(25, "custom")
        adapter.error("failed", exc_info=caught())


@case(lambda got: ({line["file"] for line in got.json}, {__file__}))
def functions_between_a_call_and_its_logger_that_are_of_logging(at: Setting) -> None:
    """The place of the call is searched for outside of ``logging``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if hasattr(at.logger, "warn"):
            at.logger.warn("outdated")
    Adapter(at.logger, {}).info("through an adapter")


@case(lambda got: ("file.py:7: UserWarning: what" in got.json[0]["message"], True), _warnings_showwarning=None)
def captured_warnings(at: Setting) -> None:
    logger = at.make_logger("py.warnings", at.base)
    logger.parent = at.logger
    logging._showwarning("what", UserWarning, "file.py", 7)
    del logging.root.manager.loggerDict["py.warnings"]


@case(lambda got: (_messages(got), ["somewhere"]), _srcfile=None)
def where_nobody_asks_for_the_place_of_a_call(at: Setting) -> None:
    """As the documentation of ``logging`` advises for speed."""
    at.logger.info("somewhere")


@case(
    lambda got: (
        [(line["target"], line["file"], line["line"]) for line in got.json],
        [(name, os.path.normcase(__file__), got.seen[0] + below) for below, name in ((1, "parity"), (2, "parity.child"))],
    )
)
def json_lines_name_logger_and_place(at: Setting) -> None:
    at.seen.append(sys._getframe().f_lineno)
    at.logger.info("here")
    at.child.error("there %d", 7)


@case(lambda got: (got.json[-1]["message"], "no filter"))
def filters(at: Setting) -> None:
    def even(record: logging.LogRecord) -> bool:
        return record.args == () or record.args[0] % 2 == 0

    class Renaming(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.msg, record.args, record.shown = "renamed", (), True
            return True

    for filtered in (at.logger, at.handler, at.child):
        for added in (even, logging.Filter("parity.child"), Renaming()):
            filtered.addFilter(added)
            for logger in (at.logger, at.child):
                for number in range(3):
                    logger.info("number %d", number)
            filtered.removeFilter(added)
    at.logger.info("no filter")


@case(lambda got: (len(got.json) > 50, True))
def levels(at: Setting) -> None:
    def say(when: str) -> None:
        for logger in (at.logger, at.child):
            for level in (5, 10, 20, 25, 30, 40, 50):
                logger.log(level, when)
            logger.debug(when)
            logger.critical("%s", when)
            at.seen.append((logger.getEffectiveLevel(), logger.isEnabledFor(20)))

    for changed in (at.logger, at.child, at.handler):
        for level in (logging.ERROR, "WARNING", 5, logging.NOTSET, 60, 10):
            changed.setLevel(level)
            say(f"{level} at {type(changed).__name__ if changed is at.handler else changed.name}")
    for level in (logging.INFO, "ERROR", logging.CRITICAL, logging.NOTSET):
        logging.disable(level)
        say(f"disabled {level}")
    for disabled in (True, False):
        at.logger.disabled = disabled
        say(f"disabled {disabled}")
    at.child.disabled = True
    say("child disabled")


@case(lambda got: (len(got.json), 12), lastResort=None, raiseExceptions=False)
def parents(at: Setting) -> None:
    at.child.info("from below")
    at.child.addHandler(at.make_handler())
    at.child.info("twice")
    at.child.addHandler(lastwords.RingHandler(at.role, folder, level=logging.ERROR))
    at.child.info("twice")
    at.child.error("three times")
    at.child.propagate = False
    at.child.error("two times")
    at.child.handlers.clear()
    at.child.error("not at all, and nobody is asked to print it")
    at.child.propagate = True
    at.logger.setLevel(logging.ERROR)
    at.child.info("disabled above")
    at.child.setLevel(logging.INFO)
    at.child.info("enabled here")
    at.child.getChild("deep").info("further below")


@case(lambda got: (got.printed, "".join(f"printed {name} {n}\n" for name in ("parity", "parity.child") for n in range(3))))
def loggers_without_a_handler(at: Setting) -> None:
    """Warnings of such are printed, each of them."""
    at.logger.handlers.clear()
    for logger in (at.logger, at.child):
        for number in range(3):
            logger.info("no %d", number)
            logger.warning("printed %s %d", logger.name, number)


class Argument:
    """Does something whenever it is shown."""

    def __init__(self, show: Callable[[], str]) -> None:
        self.show = show

    def __str__(self) -> str:
        return self.show()


@case(lambda got: (got.seen, ["looked at"]), logging.ERROR)
@case(lambda got: (got.seen, ["looked at"]), logging.NOTSET)
def an_argument_is_looked_at_once_where_a_handler_takes_the_record(at: Setting, level: int) -> None:
    argument = Argument(lambda: at.seen.append("looked at") or ("noting" if level else "noting \udc80"))
    at.handler.setLevel(level)
    at.logger.info("%s %s", 1, argument)
    if level:
        at.logger.error("%s %s", 1, argument)


@case(lambda got: (got.seen, ["interrupted"]))
def an_argument_that_is_interrupted(at: Setting) -> None:
    """Ctrl-C while a message is formatted ends the call, as it does with ``logging``."""
    shown = iter([KeyboardInterrupt])

    def show() -> str:
        for error in shown:
            raise error
        return "not interrupted"

    try:
        at.logger.info("%s %s", 1, Argument(show))
    except KeyboardInterrupt:
        at.seen.append("interrupted")


@case(lambda got: (_messages(got), ["from within 7", "1 logging"]))
def an_argument_that_logs(at: Setting) -> None:
    at.logger.info("%s %s", 1, Argument(lambda: at.logger.info("from within %d", 7) or "logging"))


class Noting(logging.Handler):
    """A third-party handler."""

    def __init__(self, seen: list[object], level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        shown = record.name, record.levelname, record.getMessage(), record.args, record.pathname, record.lineno, record.funcName
        self.seen.append((*shown, record.exc_info is None, record.stack_info is None))


@case(lambda got: ((len(got.seen), len(got.json)), (21, 29)), logging.NOTSET)
@case(lambda got: ((len(got.seen), len(got.json)), (6, 29)), logging.ERROR)
@case(lambda got: ((len(got.seen), len(got.json)), (0, 29)), 60)
def handlers_of_others_get_every_record(at: Setting, level: int) -> None:
    for having in (at.logger, at.child):
        handler = Noting(at.seen, level)
        having.addHandler(handler)
        for logger in (at.logger, at.child):
            for call in SHORT_CALLS["each level"], SHORT_CALLS["strings and numbers"], LONG_CALLS["extra"]:
                call(logger)
        having.removeHandler(handler)
    at.logger.error("alone again")


@case(lambda got: (got.seen, ["seen 7"]))
def handlers_of_others_that_are_no_logging_handlers(at: Setting) -> None:
    at.logger.addHandler(types.SimpleNamespace(level=20, handle=lambda record: at.seen.append(record.getMessage())))
    at.logger.debug("not seen")
    at.logger.info("seen %d", 7)


class Record(logging.LogRecord):
    def getMessage(self) -> str:
        return f"made: {super().getMessage()}"


def make_record(*arguments: object, **keywords: object) -> logging.LogRecord:
    record = logging.LogRecord(*arguments, **keywords)
    record.request = 7
    return record


@case(lambda got: (_messages(got)[1], "made: during 2"), Record)
@case(lambda got: (got.json[1]["fields"], {"request": 7}), make_record)
def a_factory_of_records(at: Setting, factory: Callable[..., logging.LogRecord]) -> None:
    at.logger.info("before %d", 1)
    logging.setLogRecordFactory(factory)
    at.logger.info("during %d", 2)
    logging.setLogRecordFactory(logging.LogRecord)
    at.logger.info("after %d", 3)


@case(lambda got: (got.json[0]["message"].startswith("parity:INFO:"), True))
def formatters(at: Setting) -> None:
    places = logging.Formatter("%(name)s:%(levelname)s:%(lineno)d:%(message)s")
    for formatter in (places, logging.Formatter("{message}!", style="{"), None):
        at.handler.setFormatter(formatter)
        at.logger.info("number %d", 7)
        at.child.error("failed", exc_info=caught(), extra={"user": "ada"})


@case(lambda got: (got.seen, ["%d"]))
def an_error_of_the_handler_is_handled_by_it(at: Setting) -> None:
    at.handler.handleError = lambda record: at.seen.append(record.msg)
    at.logger.info("%d", "text")
    at.logger.info("%d", 7)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_scenario(case):
    with mock.patch.multiple(logging, **case.patched) if case.patched else contextlib.nullcontext():
        found, expected = case.expected(same(case.scenario, case.role)[0])
    assert found == expected


# Code that changes what a record passes.


def _tagged(name: str) -> Callable[..., Any]:
    """Makes a method of a logger that does what it did, and changes the record that passes it."""
    original = getattr(logging.Logger, name)

    def with_record(self, record):
        record.msg = f"{name}: {record.msg}"
        return original(self, record)

    def _log(self, level, msg, args, **keywords):
        keywords["stacklevel"] = keywords.get("stacklevel", 1) + 1
        return original(self, level, f"_log: {msg}", args, **keywords)

    def makeRecord(self, *arguments, **keywords):  # noqa: N802
        record = original(self, *arguments, **keywords)
        record.msg = f"makeRecord: {record.msg}"
        return record

    def findCaller(self, *arguments, **keywords):  # noqa: N802
        return "elsewhere.py", 7, "function", None

    def isEnabledFor(self, level):  # noqa: N802
        return level >= logging.ERROR

    def getEffectiveLevel(self):  # noqa: N802
        return logging.ERROR

    others = {made.__name__: made for made in (_log, makeRecord, findCaller, isEnabledFor, getEffectiveLevel)}
    return others.get(name, with_record)


LOGGER_WAY = ("_log", "makeRecord", "handle", "filter", "callHandlers", "findCaller", "isEnabledFor", "getEffectiveLevel")


def _say(logger: logging.Logger) -> None:
    logger.info("number %d", 7)
    logger.error("text")


def _in_a_subclass(at: Setting, name: str) -> None:
    _say(at.own_logger(type("Own", (at.base,), {name: _tagged(name)})))


def _further_up(at: Setting, name: str) -> None:
    own = type("Own", (at.base,), {name: _tagged(name)})
    _say(at.own_logger(type("Deeper", (own,), {})))


def _in_a_mixin(at: Setting, name: str) -> None:
    mixin = type("Mixin", (), {name: _tagged(name)})
    _say(at.own_logger(type("Own", (mixin, at.base), {})))


def _for_a_while(at: Setting, of: object, name: str, method: Callable[..., Any]) -> None:
    _say(at.logger)
    with mock.patch.object(of, name, method):
        at.logger.setLevel(logging.DEBUG)
        _say(at.logger)
    at.logger.setLevel(logging.DEBUG)
    _say(at.logger)


def _in_the_object(at: Setting, name: str) -> None:
    _for_a_while(at, at.logger, name, types.MethodType(_tagged(name), at.logger))


def _in_an_object_of_a_subclass(at: Setting, name: str) -> None:
    logger = at.own_logger(type("Own", (at.base,), {}))
    _for_a_while(at, logger, name, types.MethodType(_tagged(name), logger))


def _in_the_class_of_the_standard_library(at: Setting, name: str) -> None:
    _for_a_while(at, logging.Logger, name, _tagged(name))


WHERE = (
    _in_a_subclass,
    _further_up,
    _in_a_mixin,
    _in_the_object,
    _in_an_object_of_a_subclass,
    _in_the_class_of_the_standard_library,
)


#: Methods of `logging.Logger` itself that a call does not check, as documented in docs/python.md.
UNSEEN = ("filter", "findCaller")
REPLACED = [
    (where, name)
    for where in WHERE
    for name in LOGGER_WAY
    if (where, name in UNSEEN) != (_in_the_class_of_the_standard_library, True)
]


@pytest.mark.parametrize(("where", "name"), REPLACED, ids=lambda value: getattr(value, "__name__", value).strip("_"))
def test_a_method_of_a_logger_that_is_replaced(where, name):
    plain = same(lambda at: where(at, name))[2]
    assert _is_changed(name, plain.json)


def _is_changed(name: str, lines: list[dict[str, Any]]) -> bool:
    """Whether it shows that a method of this name was replaced."""
    if name == "findCaller":
        return any(line["file"] == "elsewhere.py" for line in lines)
    if name in ("isEnabledFor", "getEffectiveLevel"):
        levels = [line["level"] for line in lines]
        return levels.count("INFO") < levels.count("ERROR")
    return any(line["message"].startswith(f"{name}: ") for line in lines)


def _handler_method(name: str) -> Callable[..., Any]:
    original = getattr(lastwords.RingHandler, name)

    def with_record(self, record):
        record.msg = f"{name}: {record.msg}"
        return original(self, record)

    return with_record


def _handler_object(at: Setting, name: str) -> None:
    with mock.patch.object(at.handler, name, types.MethodType(_handler_method(name), at.handler)):
        _say(at.logger)
    _say(at.logger)


def _handler_subclass(at: Setting, name: str) -> None:
    at.logger.removeHandler(at.handler)
    at.handler = at.make_handler(type("Own", (lastwords.RingHandler,), {name: _handler_method(name)}))
    at.logger.addHandler(at.handler)
    _say(at.logger)


@pytest.mark.parametrize("name", ["emit", "format", "handle", "filter"])
@pytest.mark.parametrize("where", [_handler_object, _handler_subclass], ids=lambda where: where.__name__[1:])
def test_a_method_of_the_handler_that_is_replaced(where, name):
    plain = same(lambda at: where(at, name))[2]
    assert any(line["message"].startswith(f"{name}: ") for line in plain.json)


@pytest.mark.parametrize("level", [logging.INFO, 25])
def test_lines_of_the_console(level, capfd):
    """The console is one for all of a process, and writes to the descriptor where ``sys.stderr`` is the process's own."""

    def scenario(at: Setting) -> None:
        console = lastwords.ConsoleHandler()
        at.logger.addHandler(console)
        with contextlib.redirect_stderr(sys.__stderr__):
            said(at, console)

    def said(at: Setting, console: lastwords.ConsoleHandler) -> None:
        for call in (*SHORT_CALLS.values(), LONG_CALLS["extra"], LONG_CALLS["surrogates"]):
            if call is not SHORT_CALLS["several megabytes"]:
                call(at.logger)
        at.logger.setLevel(logging.DEBUG)
        at.logger.log(level, "as it came")
        at.handler.flush()
        with mock.patch.dict(logging._levelToName, {level: "Renamed"}):
            at.logger.log(level, "renamed")
            at.handler.flush()
        console.flush()
        at.seen.append(re.sub(r"^\[\d\d:\d\d:\d\d\] ", "", capfd.readouterr().err, flags=re.MULTILINE))
        at.logger.removeHandler(console)

    assert "[Renamed] renamed" in same(scenario, f"console{level}")[2].seen[0]


# Whatever is logged.

TEXT = st.text(st.characters(), max_size=30)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    TEXT,
    st.binary(max_size=8),
    st.decimals(),
    st.complex_numbers(),
    st.tuples(st.integers(), TEXT),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=3),
    st.just(Odd()),
    st.just(Named.SEVEN),
)
DIRECTIVES = st.one_of(
    st.from_regex(r"%[-#0 +]{0,2}[1-9]?(\.[0-9]?)?[diouxXeEfFgGcrsa%]", fullmatch=True),
    st.sampled_from(["%s", "%d", "%i", "%f", "%.3f", "%%", "%(a)s", "%(b)d", "%", "%q"]),
)
TEMPLATES = st.lists(st.one_of(DIRECTIVES, DIRECTIVES, TEXT), max_size=6).map("".join)
MESSAGES = st.one_of(TEMPLATES, TEMPLATES, TEMPLATES, VALUES)
METHODS = st.sampled_from(["debug", "info", "warning", "error", "critical", "exception"])
LEVELS = st.one_of(st.sampled_from([10, 20, 30, 40, 50]), st.integers(1, 70_000))
KEYWORDS = st.fixed_dictionaries(
    {},
    optional={
        "exc_info": st.sampled_from([None, True, False, caught()]),
        "stack_info": st.booleans(),
        "stacklevel": st.integers(1, 3),
        "extra": st.dictionaries(st.sampled_from(["user", "tries"]), VALUES, max_size=2),
    },
)


@dataclass
class Call:
    """A call of a logger's method."""

    method: str
    arguments: tuple[object, ...]
    keywords: dict[str, object]

    def __call__(self, logger: logging.Logger) -> None:
        getattr(logger, self.method)(*self.arguments, **self.keywords)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    arguments = (draw(MESSAGES), *draw(st.lists(VALUES, max_size=4)))
    keywords = draw(st.one_of(st.just({}), st.just({}), KEYWORDS))
    if draw(st.integers(0, 3)) == 0:
        return Call("log", (draw(LEVELS), *arguments), keywords)
    return Call(draw(METHODS), arguments, keywords)


def _level(name: str, level: int) -> Callable[[Setting], object]:
    return lambda at: getattr(at, name).setLevel(level)


#: Changes of the setting, by their names.
CHANGES: dict[str, Callable[[Setting], object]] = {
    "nothing": lambda at: None,
    "propagate": lambda at: setattr(at.child, "propagate", not at.child.propagate),
    "disabled": lambda at: setattr(at.logger, "disabled", not at.logger.disabled),
    "a handler below": lambda at: at.child.addHandler(at.make_handler()),
    "somebody else's handler": lambda at: at.logger.addHandler(Noting(at.seen, logging.ERROR)),
    "remove the handler": lambda at: at.logger.removeHandler(at.handler),
    "add the handler": lambda at: at.logger.addHandler(at.handler),
    "filter of the logger": lambda at: at.logger.addFilter(lambda record: record.levelno != logging.WARNING),
    "filter of the handler": lambda at: at.handler.addFilter(lambda record: not record.args),
    "everything is disabled": lambda at: logging.disable(logging.ERROR),
    "nothing is disabled": lambda at: logging.disable(logging.NOTSET),
}
CHANGES |= {
    f"{name} to {level}": _level(name, level) for name in ("logger", "child", "handler") for level in (0, 10, 15, 30, 40, 60)
}
STEPS = st.lists(st.tuples(st.sampled_from(list(CHANGES)), calls(), st.booleans()), min_size=1, max_size=6)

_settings = settings(deadline=None, max_examples=150, database=None, suppress_health_check=list(HealthCheck))


@_settings
@given(st.lists(calls(), min_size=1, max_size=5))
def test_whatever_is_logged(made):
    def scenario(at: Setting) -> None:
        for call in made:
            at.attempt(call, at.logger)

    same(scenario, "whatever")


@_settings
@given(STEPS)
def test_however_loggers_are_set_up(steps):
    def scenario(at: Setting) -> None:
        logging.disable(logging.NOTSET)
        for change, call, below in steps:
            CHANGES[change](at)
            at.attempt(call, at.child if below else at.logger)

    same(scenario, "however")
