"""What a record brings with it: its own time and process where it was handed on, the values of ``extra``, an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Logs

SETUP = 'log = lastwords.setup_logger("worker", LOGS, console=False, format="both")\n'


def objects(logs: Logs) -> list[dict[str, Any]]:
    """The JSON lines of the worker."""
    return [json.loads(line) for line in (logs.folder / "worker.jsonl").read_text(encoding="utf-8").splitlines()]


# Records that were handed on.

#: An hour old, of another process, with a level that has a name there.
MADE = """
import time
made = logging.makeLogRecord({"name": "worker", "levelno": 25, "levelname": "SUCCESS", "msg": "done", "process": 4157,
    "created": time.time() - 3600, "threadName": "elsewhere"})
"""
#: The loggers that pass it on.
RELAYS = {
    "QueueListener": """
import logging.handlers, queue
waiting = queue.Queue()
waiting.put(made)
listener = logging.handlers.QueueListener(waiting, log.handlers[0])
listener.start()
listener.stop()
""",
    "MemoryHandler": """
import logging.handlers
memory = logging.handlers.MemoryHandler(10, target=log.handlers[0])
memory.handle(made)
memory.flush()
""",
    "SocketHandler": """
import logging.handlers, pickle, socket, struct
server = socket.create_server(("127.0.0.1", 0))
sender = logging.handlers.SocketHandler("127.0.0.1", server.getsockname()[1])
sender.handle(made)
taken, _ = server.accept()
(length,) = struct.unpack(">L", taken.recv(4))
log.handle(logging.makeLogRecord(pickle.loads(taken.recv(length))))
for each in (taken, server): each.close()
sender.close()
""",
    "handle": "log.handle(made)\n",
}


@pytest.mark.parametrize("relay", RELAYS)
def test_a_record_that_was_handed_on_has_its_own_time_process_and_name_of_level(logs: Logs, relay: str) -> None:
    said = logs.run(SETUP + "log.info('before')\n" + MADE + RELAYS[relay] + "log.info('after')\nprint(made.created, os.getpid())")
    created, pid = float(said.split()[0]), int(said.split()[1])
    assert logs.lines() == [("INFO", "before"), ("SUCCESS", "done"), ("INFO", "after")]
    assert "[4157] [SUCCESS] done" in logs.text()
    before, made, after = objects(logs)
    assert (made["pid"], made["level"], made["level_number"]) == (4157, "SUCCESS", 25)
    assert (before["pid"], before.get("received"), after["pid"], after.get("received")) == (pid, None, pid, None)
    assert abs(_seconds(made["time"]) - created) < 0.001
    assert before["time"] <= made["received"] <= after["time"]
    assert made.get("thread_name") != "elsewhere"
    # The text has the same time.
    line = logs.text().splitlines()[1]
    assert line[11:23] == made["time"][11:23]


def test_a_record_of_a_colourful_formatter_has_its_levels_own_name(logs: Logs) -> None:
    logs.run(
        SETUP
        + """
import io
class Colourful(logging.Formatter):
    def format(self, record):
        record.levelname = f"\\x1b[32m{record.levelname}\\x1b[0m"
        return super().format(record)
stream = logging.StreamHandler(io.StringIO())
stream.setFormatter(Colourful())
log.handlers.insert(0, stream)
log.info("text")
"""
    )
    assert logs.lines() == [("INFO", "text")]


@pytest.mark.parametrize(
    "odd", ['"created": "x"', '"created": -5.0', '"created": 1e30', '"process": None', '"levelname": None', '"process": -1']
)
def test_a_record_with_an_odd_origin_is_recorded(logs: Logs, odd: str) -> None:
    logs.run(
        SETUP
        + f"log.handle(logging.makeLogRecord({{'name': 'worker', 'levelno': 20, 'levelname': 'INFO', 'msg': 'text', {odd}}}))"
    )
    assert logs.messages() == ["text"]


def _seconds(text: str) -> float:
    import datetime

    return datetime.datetime.fromisoformat(text[:26] + text[29:]).timestamp()


# What `extra` holds.

VALUES: dict[str, tuple[str, Any]] = {
    "None": ("None", None),
    "bool": ("True", True),
    "int": ("-3", -3),
    "large int": ("2**64", str(2**64)),
    "float": ("1.5", 1.5),
    "nan": ("float('nan')", "NaN"),
    "str": ("'é'", "é"),
    "list": ("[1, None, 'b']", [1, None, "b"]),
    "tuple": ("(1, 2)", [1, 2]),
    "dict": ("{'a': {'b': [True]}, 3: None}", {"a": {"b": [True]}, "3": None}),
    "what is not JSON within a list": ("[float('inf'), 2**70, b'x']", ["inf", str(2**70), "b'x'"]),
    "IntEnum": ("enum.IntEnum('Number', 'ONE TWO').TWO", 2),
    "Enum": ("enum.Enum('Kind', 'A').A", "Kind.A"),
    "bytes": ("b'x'", "b'x'"),
    "Decimal": ("decimal.Decimal('1.10')", "1.10"),
    "Fraction": ("fractions.Fraction(1, 3)", "1/3"),
    "path": ("pathlib.Path('/tmp')", "/tmp"),
    "numpy integer": ("numpy.int64(3)", 3),
    "numpy unsigned": ("numpy.uint8(200)", 200),
    "numpy float": ("numpy.float32(0.5)", 0.5),
    "numpy truth": ("numpy.bool_(True)", True),
    "surrogate": ("'\\udc80'", "\\udc80"),
    "surrogate within": ("['é\\udc80']", ["é\\udc80"]),
    "control characters within": ("['\\x1b[31m\\u202e']", ["\x1b[31m\u202e"]),
    "fails": ("Failing()", "(Failing that cannot be shown: ValueError)"),
    "fails within": ("[1, Failing()]", [1, "(Failing that cannot be shown: ValueError)"]),
    "a name that fails": ("{Failing(): 1}", "(dict that cannot be shown: ValueError)"),
    "itself": ("circle", None),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_extra_is_what_it_is_in_json(logs: Logs, kind: str) -> None:
    made, expected = VALUES[kind]
    imports = "import numpy\n" if "numpy" in kind else ""
    logs.run(
        SETUP
        + imports
        + f"""
import decimal, enum, fractions, pathlib
class Failing:
    def __str__(self): raise ValueError("cannot be shown")
circle = []
circle.append(circle)
log.info("text", extra={{"a": {made}, "b": 7}})
"""
    )
    (found,) = objects(logs)
    assert (found["message"], found["fields"]["b"]) == ("text", 7)
    if kind != "itself":
        assert found["fields"]["a"] == expected
        assert type(found["fields"]["a"]) is type(expected)
    assert logs.messages()[0].startswith("text a=") and logs.messages()[0].endswith("b=7")


# Exceptions.


@pytest.mark.parametrize("text", ["", "text", "text\\n", "\\n", "one\\ntwo"])
def test_an_exception_stands_apart_from_any_message(logs: Logs, text: str) -> None:
    logs.run(SETUP + f"try: 1 / 0\nexcept ZeroDivisionError: log.exception('{text}')")
    (found,) = objects(logs)
    assert found["message"] == text.replace("\\n", "\n").removesuffix("\n")
    assert found["exception"].startswith("Traceback")


def test_an_exception_is_a_member_of_its_own(logs: Logs) -> None:
    logs.run(
        SETUP
        + """
try: 1 / 0
except ZeroDivisionError: log.exception("größer: %s", "\\udc80\\nline", extra={"a": 1})
log.error("none")
log.info("stack", stack_info=True)
"""
    )
    failed, none, stack = objects(logs)
    assert failed["message"] == "größer: \\udc80\nline"
    assert failed["exception"].startswith("Traceback") and failed["exception"].endswith("ZeroDivisionError: division by zero")
    assert failed["fields"] == {"a": 1}
    assert "exception" not in none and "exception" not in stack
    # In the text it comes after the message.
    assert "\nline\nTraceback (most recent call last):\n" in logs.messages()[0]


def test_marks_of_hebrew_and_arabic_stay_and_what_reorders_a_line_is_escaped(logs: Logs) -> None:
    said = logs.run(r"""
log = lastwords.setup_logger("worker", LOGS)
log.info("א\u200f ב \u200e c")
log.info("%s \u202e evil", "\u2066 open")
""")
    assert logs.messages() == ["א\u200f ב \u200e c", "\\u{2066} open \\u{202e} evil"]
    assert "א\u200f ב \u200e c" in said and "\u202e" not in said
