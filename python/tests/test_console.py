"""The console: standard error, coloured on terminals only, and never anything that a log call waits for."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import STUCK, Logs

SETUP = "log = lastwords.setup_logger('worker', LOGS)\n"


def test_lines_are_short_plain_and_on_standard_error(logs: Logs) -> None:
    running = logs.start(SETUP + "log.info('frame %d', 7); log.error('broken')")
    output, errors = running.communicate(timeout=STUCK)
    assert output == ""
    lines = errors.splitlines()
    assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] \[\d+\] \[INFO\] frame 7", lines[0]), errors
    assert lines[1].endswith("[ERROR] broken")


def test_fields_stand_behind_the_first_line_as_in_the_log_file(logs: Logs) -> None:
    said = logs.run(
        SETUP
        + """
import contextlib, io
with contextlib.redirect_stderr(io.StringIO()) as other:
    log.warning("slow", extra={"camera": "the left one", "ms": 41.5})
print(other.getvalue(), end="", file=sys.stderr)
log.warning("slow", extra={"camera": "the left one", "ms": 41.5, "b": [1, None]})
try: 1 / 0
except ZeroDivisionError: log.exception("failed", extra={"n": 1})
"""
    )
    lines = [line.split("] ")[-1] for line in said.splitlines()]
    assert lines[:2] == ['slow camera="the left one" ms=41.5', 'slow camera="the left one" ms=41.5 b=[1,null]'], said
    assert lines[2] == "failed n=1" and lines[3].startswith("Traceback")
    assert logs.messages()[1] == lines[1]


def test_a_terminal_gets_colours_and_no_color_takes_them_away(logs: Logs) -> None:
    for environment, coloured in [({}, True), ({"NO_COLOR": "1"}, False)]:
        ours, theirs = pty.openpty()
        script = f"import lastwords\nLOGS = {str(logs.folder)!r}\n{SETUP}log.error('broken')"
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        env = {**kept, "TERM": "xterm-256color", **environment}
        subprocess.run([sys.executable, "-c", script], stderr=theirs, env=env, cwd=logs.folder.parent, timeout=STUCK, check=True)
        os.close(theirs)
        text = os.read(ours, 4096)
        os.close(ours)
        assert b"broken" in text and (b"\x1b[" in text) is coloured, text


def test_nothing_of_a_message_drives_the_terminal_or_forges_a_line(logs: Logs) -> None:
    said = logs.run(SETUP + r"log.info('red \x1b[31m and\n[12:00:00] [1] [INFO] forged\x07')")
    assert "\x1b" not in said and "\x07" not in said
    assert r"red \x1b[31m" in said and not re.search(r"^\[12:00:00\] \[1\]", said, re.MULTILINE)


@pytest.mark.parametrize("way", ["short", "standard"])
def test_a_pipe_that_nobody_reads_stops_no_log_call(logs: Logs, way: str) -> None:
    """The pipe holds 64 KiB; 20,000 lines do not fit, nor do they fit the memory in which lines wait."""
    reader, writer = os.pipe()
    head = "" if way == "short" else "log.addFilter(lambda record: True)\n"
    calls = "for n in range(20000): log.info('line %d', n)\nprint('done')"
    script = f"import lastwords\nLOGS = {str(logs.folder)!r}\n{SETUP}{head}{calls}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=writer,
            cwd=logs.folder.parent,
            timeout=STUCK,
            check=True,
        )
    finally:
        os.close(writer)
    assert done.stdout == b"done\n"
    assert logs.messages() == [f"line {n}" for n in range(20000)]
    os.close(reader)


def test_lines_wait_for_a_late_reader_and_what_is_missing_is_counted(logs: Logs) -> None:
    running = logs.start(
        SETUP
        + """
for n in range(20000): log.info("line %d", n)
print("logged", flush=True)
# While standard error is read, each of these waits until all is written, or a while.
for _ in range(100): log.handlers[1].flush()
log.info("the last")
"""
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "logged\n"
    lines = running.communicate(timeout=STUCK)[1].splitlines()
    seen = [line for line in lines if "] line " in line]
    missing = [int(line.split()[1]) for line in lines if "lines are missing" in line]
    assert seen[0].endswith("] line 0") and 10_000 <= len(seen) < 20_000
    assert sum(missing) == 20_000 - len(seen)
    assert lines[-1].endswith("] the last")


def test_a_formatter_a_level_and_a_filter_of_the_console_are_its_own(logs: Logs) -> None:
    said = logs.run(
        SETUP
        + """
console = log.handlers[1]
console.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
console.setLevel(logging.WARNING)
console.addFilter(lambda record: "secret" not in record.getMessage())
log.info("only in the file")
log.warning("both")
log.error("secret")
"""
    )
    assert said.splitlines() == ["WARNING:worker:both"]
    assert logs.messages() == ["only in the file", "both", "secret"]


def test_custom_levels_have_their_names(logs: Logs) -> None:
    said = logs.run(
        SETUP
        + """
log.log(25, "before it has a name")
logging.addLevelName(25, "NOTICE")
log.log(25, "with its name")
log.setLevel(1)
log.log(2, "fine")
"""
    )
    expected = [("Level 25", "before it has a name"), ("NOTICE", "with its name"), ("Level 2", "fine")]
    assert [line.split("] [", 2)[2] for line in said.splitlines()] == [f"{level}] {text}" for level, text in expected]
    # A name holds for what is written after it was given; the first line may have been written before or after.
    assert logs.lines()[1:] == expected[1:] and logs.lines()[0][0] in ("Level 25", "NOTICE")


def test_the_console_goes_on_in_a_forked_child(logs: Logs) -> None:
    said = logs.run(
        SETUP
        + """
log.info("parent")
child = os.fork()
if child == 0:
    log.info("child")
    log.handlers[1].flush()
    os._exit(0)
os.waitpid(child, 0)
"""
    )
    assert sorted(line.rsplit("] ")[-1] for line in said.splitlines()) == ["child", "parent"]


def test_a_closed_standard_error_stops_nothing(logs: Logs) -> None:
    logs.run("os.close(2)\n" + SETUP + "log.info('in the file')")
    assert logs.messages() == ["in the file"]


@pytest.mark.parametrize("way", ["short", "standard"])
def test_surrogates_are_shown(logs: Logs, way: str) -> None:
    head = "" if way == "short" else "log.addFilter(lambda record: True)\n"
    said = logs.run(SETUP + head + "log.info('file \\udc80')")
    assert said.endswith("] file \\udc80\n")
    assert logs.messages() == ["file \\udc80"]


def test_a_mock_of_a_handlers_attribute_comes_and_goes(logs: Logs) -> None:
    logs.run(
        SETUP
        + """
from unittest import mock
handler = log.handlers[0]
formatter = logging.Formatter("f: %(message)s")
with mock.patch.object(handler, "level", logging.ERROR), mock.patch.object(handler, "formatter", formatter):
    log.info("not this")
    log.error("this")
assert handler.level == 0 and handler.formatter is None
info = log.info
with mock.patch.object(log, "handle") as spy:
    info("seen by the mock")
assert spy.call_count == 1
log.info("after")
"""
    )
    assert logs.messages() == ["f: this", "after"]


# Another standard error.


def test_a_replaced_standard_error_gets_the_lines_at_once(logs: Logs) -> None:
    said = logs.run("""
        import contextlib, io
        log = lastwords.setup_logger("worker", LOGS)
        log.info("first")
        for _ in range(2):
            with contextlib.redirect_stderr(io.StringIO()) as caught:
                log.info("caught %d", 7)
                log.warning("fields", extra={"a": 1})
                lines = caught.getvalue().splitlines()
            assert [line.split("] ", 2)[2] for line in lines] == ["[INFO] caught 7", "[WARNING] fields a=1"], lines
        log.info("last")
    """)
    assert [line.split("] ")[-1] for line in said.splitlines()] == ["first", "last"]
    assert logs.messages() == ["first", "caught 7", "fields a=1", "caught 7", "fields a=1", "last"]


def test_another_object_for_the_same_descriptor_is_written_as_ever(logs: Logs) -> None:
    said = logs.run("""
        log = lastwords.setup_logger("worker", LOGS)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        log.info("text")
    """)
    assert "[INFO] text" in said


def test_a_standard_error_that_fails_costs_the_file_nothing(logs: Logs) -> None:
    logs.run("""
        log = lastwords.setup_logger("worker", LOGS)
        logging.raiseExceptions = False
        class Failing:
            def write(self, text): raise OSError("no")
            def flush(self): raise OSError("no")
        sys.stderr = Failing()
        log.info("text")
        sys.stderr = None
        log.info("none")
        sys.stderr = sys.__stderr__
    """)
    assert logs.messages() == ["text", "none"]


def test_it_is_a_stream_handler_for_those_who_ask(logs: Logs) -> None:
    said = logs.run("""
        import io
        log = lastwords.setup_logger("worker", LOGS)
        console = log.handlers[1]
        assert isinstance(console, logging.StreamHandler) and console.stream is sys.stderr
        taken = io.StringIO()
        assert console.setStream(taken) is sys.stderr
        log.info("taken")
        assert "[INFO] taken" in taken.getvalue()
        console.setFormatter(logging.Formatter("<%(message)s>"))
        log.info("formatted")
        assert taken.getvalue().endswith("<formatted>\\n")
        console.setFormatter(None)
        console.setStream(sys.stderr)
        log.info("back")
    """)
    assert [line.split("] ")[-1] for line in said.splitlines()] == ["back"]


def test_a_test_of_pytest_captures_the_lines(logs: Logs, tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "import lastwords, os\n"
        "log = lastwords.setup_logger('worker', os.environ['LOGS'])\n"
        "def test_sys(capsys):\n    log.info('text')\n    assert '[INFO] text' in capsys.readouterr().err\n"
        "def test_after(capsys):\n    log.info('more')\n    assert '[INFO] more' in capsys.readouterr().err\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_user.py")],
        env={**os.environ, "LOGS": str(logs.folder)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
