"""What is known of a process's end: uncaught exceptions, and tracebacks of fatal signals."""

from __future__ import annotations

import re

import pytest
from conftest import Logs

SETUP = 'log = lastwords.setup_logger("worker", LOGS, console=False)\nlog.info("running")\n'
ASYNCIO = """
import asyncio, gc
async def frame():
    raise OSError("camera gone")
async def main():
    task = asyncio.create_task(frame())
    await asyncio.sleep(0.01)
    del task
    gc.collect()
asyncio.run(main())
"""


def critical(logs: Logs) -> str:
    """The only CRITICAL line, with the traceback that belongs to it."""
    found = [text for level, text in logs.lines() if level == "CRITICAL"]
    assert len(found) == 1, logs.lines()
    return found[0]


def test_an_exception_that_ends_the_process_is_recorded_and_printed_as_ever(logs: Logs) -> None:
    said = logs.run(SETUP + "def deep(): raise ValueError('no frame')\ndeep()", status=1)
    text = critical(logs)
    assert text.startswith("uncaught exception\nTraceback (most recent call last):\n")
    assert ", in deep\n" in text and text.endswith("ValueError: no frame")
    assert said.count("ValueError: no frame") == 1


def test_an_exception_before_the_first_record_is_recorded(logs: Logs) -> None:
    logs.run("lastwords.get_logger('worker'); 1 / 0", status=1, LASTWORDS_DIR=str(logs.folder))
    assert critical(logs).endswith("ZeroDivisionError: division by zero")


def test_an_earlier_excepthook_still_runs(logs: Logs) -> None:
    said = logs.run("sys.excepthook = lambda *_: print('the earlier hook')\n" + SETUP + "1 / 0", status=1)
    assert "the earlier hook" in said and "Traceback" not in said
    assert critical(logs)


def test_an_interrupt_from_the_keyboard_and_an_exit_are_no_crash(logs: Logs) -> None:
    logs.run(SETUP + "raise KeyboardInterrupt", status=None)
    logs.run(SETUP + "sys.exit(3)", status=3)
    logs.run(SETUP + "import threading; t = threading.Thread(target=sys.exit); t.start(); t.join()")
    assert logs.lines() == [("INFO", "running")] * 3
    assert not logs.crash_files()


def test_an_exception_in_a_thread_is_recorded_with_the_threads_name(logs: Logs) -> None:
    said = logs.run(
        SETUP
        + """
def lens():
    raise KeyError("lens")
import threading
thread = threading.Thread(target=lens, name="camera")
thread.start()
thread.join()
"""
    )
    text = critical(logs)
    assert text.startswith("uncaught exception in thread camera\nTraceback") and text.endswith("KeyError: 'lens'")
    assert "Exception in thread camera" in said


def test_an_exception_that_no_tasks_owner_asked_for_is_recorded_and_shown_as_ever(logs: Logs) -> None:
    said = logs.run(SETUP + ASYNCIO)
    text = critical(logs)
    assert text.startswith("uncaught exception in asyncio: Task exception was never retrieved")
    assert text.endswith("OSError: camera gone")
    assert said.count("Task exception was never retrieved") == 1


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("where", ["before", "in the child"])
def test_an_exception_that_ends_a_process_of_multiprocessing_is_recorded(logs: Logs, method: str, where: str) -> None:
    script = logs.folder.parent / "script.py"
    script.write_text(
        f"""
import os, multiprocessing, lastwords
{"lastwords.setup_logger('worker', os.environ['LOGS'], console=False)" if where == "before" else ""}
def work():
    lastwords.setup_logger("worker", os.environ["LOGS"], console=False).info("working")
    raise RuntimeError("the child's")
if __name__ == "__main__":
    process = multiprocessing.get_context("{method}").Process(target=work, name="P7")
    process.start()
    process.join()
    assert process.exitcode == 1
"""
    )
    logs.run(f"import runpy; sys.path.insert(0, {str(script.parent)!r}); runpy.run_path({str(script)!r}, run_name='__main__')")
    logs.drain()
    text = critical(logs)
    assert text.startswith("uncaught exception in process P7\nTraceback") and text.endswith("RuntimeError: the child's")
    assert ("INFO", "working") in logs.lines()
    assert not logs.crash_files()


NULL = "import ctypes\ndef native(): ctypes.memset(0, 1, 1)\n"


@pytest.mark.parametrize(
    ("death", "signal", "said"),
    [
        (NULL + "native()", 11, "Segmentation fault"),
        ("os.abort()", 6, "Aborted"),
        ("os.kill(os.getpid(), 4)", 4, "Illegal instruction"),
    ],
)
def test_a_fatal_signal_leaves_the_tracebacks_of_all_threads_in_the_crash_file(
    logs: Logs, death: str, signal: int, said: str
) -> None:
    logs.run(
        SETUP
        + """
import threading, time
def wait_for_frames(): time.sleep(60)
threading.Thread(target=wait_for_frames, name="camera", daemon=True).start()
time.sleep(0.05)
"""
        + death,
        status=-signal,
    )
    logs.drain()
    name = {11: "SIGSEGV", 6: "SIGABRT", 4: "SIGILL"}[signal]
    assert f"the process died of {name}" in critical(logs)
    [text] = logs.crash_files()
    assert f"Fatal Python error: {said}" in text and "in wait_for_frames" in text
    assert "in native" in text or "ctypes" not in death
    assert re.search(r"\[MainThread \d+\] running", text)


def test_a_process_that_is_killed_has_a_crash_file_without_a_traceback(logs: Logs) -> None:
    logs.run(SETUP + "os.kill(os.getpid(), 9)", status=-9)
    logs.drain()
    assert "died without closing its log" in critical(logs)
    [text] = logs.crash_files()
    assert "running" in text and "Fatal Python error" not in text


def test_a_forked_childs_fault_is_in_its_own_crash_file_and_not_in_the_parents(logs: Logs) -> None:
    logs.run(
        SETUP
        + """
child = os.fork()
if child == 0:
    log.info("the child is here")
    os.abort()
os.waitpid(child, 0)
log.info("the parent is here")
os.kill(os.getpid(), 9)
""",
        status=-9,
    )
    logs.drain()
    texts = sorted(logs.crash_files(), key=lambda text: "Fatal Python error" in text)
    assert len(texts) == 2
    assert "the parent is here" in texts[0] and "Fatal Python error" not in texts[0]
    assert "the child is here" in texts[1] and "Fatal Python error: Aborted" in texts[1]


def test_a_forked_child_that_never_logged_prints_its_fault_where_faulthandler_does(logs: Logs) -> None:
    said = logs.run(SETUP + "child = os.fork()\nif child == 0: os.abort()\nos.waitpid(child, 0)")
    assert "Fatal Python error: Aborted" in said


def test_somebody_elses_faulthandler_is_left_as_it_is(logs: Logs) -> None:
    said = logs.run("import faulthandler; faulthandler.enable()\n" + SETUP + "os.abort()", status=-6)
    assert "Fatal Python error: Aborted" in said
    logs.drain()
    [text] = logs.crash_files()
    assert "Fatal Python error" not in text


@pytest.mark.parametrize("disable", [True, False])
def test_dict_config_takes_no_exception_of_asyncio_away_and_none_comes_twice(logs: Logs, disable: bool) -> None:
    logs.run(
        f"""
import logging.config
logging.config.dictConfig({{
    "version": 1,
    "disable_existing_loggers": {disable},
    "handlers": {{"ring": {{"class": "lastwords.RingHandler", "role": "worker", "log_dir": LOGS}}}},
    "root": {{"level": "INFO", "handlers": ["ring"]}},
}})
"""
        + ASYNCIO
    )
    assert [level for level, _ in logs.lines()] == ["CRITICAL"]
    assert critical(logs).endswith("OSError: camera gone")


def test_fields_stand_before_the_traceback(logs: Logs) -> None:
    logs.run(SETUP + "try: 1 / 0\nexcept ZeroDivisionError: log.exception('failed', extra={'request': 7})")
    text = logs.messages()[1]
    assert text.startswith("failed request=7\nTraceback") and text.endswith("ZeroDivisionError: division by zero")


CUT = """
import glob, os
ring, = glob.glob(LOGS + "/rings/*.ring")
os.truncate(ring, 300_000)
for n in range(20_000): log.info("line %d", n)
print("alive")
"""


@pytest.mark.parametrize("enabled", ["", "before", "after", "again"])
def test_a_ring_that_is_cut_does_not_end_the_process_whoever_enabled_faulthandler(logs: Logs, enabled: str) -> None:
    by_hand = "import faulthandler; faulthandler.enable()\n"
    again = "import faulthandler; faulthandler.disable(); faulthandler.enable()\n"
    before, after = by_hand if enabled == "before" else "", {"after": by_hand, "again": again}.get(enabled, "")
    assert "alive" in logs.run(before + SETUP + after + CUT)


@pytest.mark.parametrize("enabled", ["", "after", "again"])
def test_a_sigbus_of_the_programs_own_is_told_as_ever(logs: Logs, enabled: str) -> None:
    again = "import faulthandler; faulthandler.disable(); faulthandler.enable()\n"
    after = {"after": "import faulthandler; faulthandler.enable()\n", "again": again}.get(enabled, "")
    fault = """
import mmap, tempfile
with tempfile.TemporaryFile() as file:
    file.truncate(4096)
    memory = mmap.mmap(file.fileno(), 4096)
    file.truncate(0)
    memory[0]
"""
    said = logs.run(SETUP + after + fault, status=-7)
    logs.drain()
    assert "of SIGBUS" in critical(logs)
    # Where the program enables it itself, it writes to standard error, else to the crash file.
    assert said.count("Fatal Python error: Bus error") == int(enabled != "")
