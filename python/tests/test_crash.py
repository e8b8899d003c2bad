"""What a crash in native code leaves: the stack of the thread, with the interpreter folded, and Python's traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import STUCK, Logs

SETUP = 'log = lastwords.setup_logger("worker", LOGS, console=False)\nlog.info("running")\n'
NATIVE = "import ctypes\ndef native(): ctypes.memset(0, 1, 1)\ndef caller(): native()\n"
WRITE = "SIGSEGV: write to address 0x0, not mapped, near null"
#: The program, or the library that most of it is in.
_INTERPRETER = re.compile(r"in \S*/(?:python[\d.tdm]*|libpython[\d.tdm]*\.so[\d.]*)\+0x")
_FOLD = re.compile(r" +(\d+) frames of the Python interpreter \((?:lib)?python[^)]*\)")


class Crash:
    """A crash file."""

    def __init__(self, text: str) -> None:
        self.text = text
        first = text[text.find("\nthread ") :].partition("\nstack ends")[0]
        #: The frames of the first stack, and the lines that stand for some.
        self.stack = [line for line in first.splitlines() if line[:1] in ("#", " ") and not line.endswith("  inlined")]

    def named(self, name: str) -> list[str]:
        """The values of the head's lines with this name."""
        return [line[13:] for line in self.text.splitlines() if line[:13].rstrip() == name and line[12:13] == " "]

    def check_stack(self) -> None:
        """Checks that it is that of a whole thread, and folded."""
        assert self.named("stack ends") == ["the outermost frame"], self.text
        folds = [_FOLD.match(line) for line in self.stack]
        counts = [int(fold[1]) for fold in folds if fold]
        assert counts and all(count > 1 for count in counts), self.text
        # All that is folded is further below.
        assert len({line.split()[0] for line in self.named("folded")}) == sum(counts), self.text
        shown = "".join("f" if _FOLD.match(line) else "i" if _INTERPRETER.search(line) else "-" for line in self.stack)
        assert not re.search(r"(?<!i)f|f(?!i)|iiii", shown), self.text

    def check_main(self) -> None:
        """Checks that the stack ends with what the C library calls, ``main`` or what that has jumped to, if it has a name."""
        # Behind it there may be `_start`, which calls the C library.
        last = [line for line in self.stack if _INTERPRETER.search(line)][-2:]
        assert any(re.search(r"(?i)main\+0x|build id", line) for line in last), self.text


def only_crash(logs: Logs) -> Crash:
    """The crash file, if there is one alone, after what is left has been drained."""
    logs.drain()
    [text] = logs.crash_files()
    return Crash(text)


def is_of_c_library(line: str) -> bool:
    """Whether a frame is the C library's."""
    return "/libc." in line or "/ld-musl" in line


def calls(lines: list[str]) -> list[str]:
    """The functions of a traceback."""
    return [line.rpartition(" in ")[2] for line in lines]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("ctypes.memset(0, 1, 1)", WRITE),
        ("ctypes.CDLL(None).strlen(ctypes.c_void_p(0))", "SIGSEGV: read of address 0x0, not mapped, near null"),
    ],
)
def test_a_crash_file_has_pythons_traceback_beside_the_native_frames_of_the_thread(logs: Logs, fault: str, cause: str) -> None:
    logs.run(SETUP + f"import ctypes\ndef native(): {fault}\ndef caller(): native()\ncaller()", status=-11)
    crash = only_crash(logs)
    assert crash.named("cause") == [cause]
    crash.check_stack()
    crash.check_main()
    assert is_of_c_library(crash.stack[0]) and any("_ctypes" in line for line in crash.stack), crash.text
    assert calls(crash.named("python")) == ["native", "caller", "<module>"]
    # All threads are at the end, as faulthandler writes them.
    assert crash.text.count("Fatal Python error: Segmentation fault") == 1
    # So much the log has too.
    level, message = logs.lines()[-1]
    assert level == "CRITICAL" and f"\n    {cause}\n    #0 " in message
    assert re.search(
        r"\n    #0 .*\n         \d+ frames of the Python interpreter .*\n    Python, most recent call first\n", message, re.DOTALL
    )
    assert calls(message.splitlines()[-3:]) == ["native", "caller", "<module>"]


def test_an_abort_shows_the_function_that_called_it(logs: Logs) -> None:
    logs.run(SETUP + "def native(): os.abort()\nnative()", status=-6)
    crash = only_crash(logs)
    assert crash.named("cause") == ["SIGABRT: abort"]
    crash.check_stack()
    crash.check_main()
    first = next(line for line in crash.stack if _INTERPRETER.search(line))
    assert "  os_abort" in first or "build id" in first, crash.text
    assert calls(crash.named("python")) == ["native", "<module>"]


def test_what_calls_back_into_python_stays_between_two_folds(logs: Logs) -> None:
    logs.run(
        SETUP
        + NATIVE
        + """
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda one, other: native() or 0)
libc = ctypes.CDLL(None)
numbers = (ctypes.c_long * 2)(2, 1)
libc.qsort(numbers, ctypes.c_size_t(2), ctypes.c_size_t(8), compare)
""",
        status=-11,
    )
    crash = only_crash(logs)
    crash.check_stack()
    first, second = (number for number, line in enumerate(crash.stack) if _FOLD.match(line))
    between = crash.stack[first + 1 : second]
    assert any(is_of_c_library(line) for line in between), crash.text
    # The function that was called by native code, and the one that called it.
    assert _INTERPRETER.search(between[0]) and _INTERPRETER.search(between[-1]), crash.text
    assert calls(crash.named("python")) == ["native", "<lambda>", "<module>"]


def test_a_crash_in_a_thread_is_that_threads(logs: Logs) -> None:
    logs.run(
        SETUP
        + NATIVE
        + """
import threading
thread = threading.Thread(target=caller)
thread.start()
thread.join()
""",
        status=-11,
    )
    crash = only_crash(logs)
    assert crash.named("cause") == [WRITE]
    crash.check_stack()
    assert not any(re.search(r"(?i)main\+0x", line) for line in crash.stack), crash.text
    assert calls(crash.named("python")) == ["native", "caller", "run", "_bootstrap_inner", "_bootstrap"]


def test_a_crash_in_the_interpreter_shows_the_frame_that_crashed(logs: Logs) -> None:
    logs.run(SETUP + "import faulthandler\ndef native(): faulthandler._read_null()\nnative()", status=-11)
    crash = only_crash(logs)
    assert crash.named("cause") == ["SIGSEGV: read of address 0x0, not mapped, near null"]
    crash.check_stack()
    crash.check_main()
    assert _INTERPRETER.search(crash.stack[0]) and _FOLD.match(crash.stack[1]), crash.text
    assert calls(crash.named("python")) == ["native", "<module>"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_crash_in_a_process_of_multiprocessing_is_that_processs(logs: Logs, method: str) -> None:
    script = logs.folder.parent / "script.py"
    script.write_text(
        f"""
import os, multiprocessing, lastwords
{NATIVE}
def work():
    lastwords.setup_logger("worker", os.environ["LOGS"], console=False).info("working")
    caller()
if __name__ == "__main__":
    lastwords.setup_logger("host", os.environ["LOGS"], console=False).info("running")
    process = multiprocessing.get_context("{method}").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -11, process.exitcode
"""
    )
    logs.run(f"import runpy; sys.path.insert(0, {str(script.parent)!r}); runpy.run_path({str(script)!r}, run_name='__main__')")
    crash = only_crash(logs)
    assert crash.named("cause") == [WRITE]
    crash.check_stack()
    assert calls(crash.named("python"))[:3] == ["native", "caller", "work"]


def test_a_worker_of_a_prefork_server_has_its_own_crash_file(logs: Logs) -> None:
    said = logs.run(
        SETUP
        + NATIVE
        + """
def serve(number):
    log.info("worker %d", number)
    if number == 1:
        caller()
    os._exit(0)
workers = {}
for number in range(3):
    child = os.fork()
    if child == 0:
        serve(number)
    workers[child] = number
for _ in range(3):
    pid, status = os.wait()
    print("ended", workers.pop(pid), os.waitstatus_to_exitcode(status))
"""
    )
    assert sorted(re.findall("ended (.*)", said)) == ["0 0", "1 -11", "2 0"]
    crash = only_crash(logs)
    assert crash.named("cause") == [WRITE]
    crash.check_stack()
    crash.check_main()
    assert calls(crash.named("python")) == ["native", "caller", "serve", "<module>"]


def test_a_process_that_flushes_hears_of_its_own_child_alone(logs: Logs) -> None:
    said = logs.run(
        SETUP
        + NATIVE
        + """
import signal, time
heard = []
signal.signal(signal.SIGCHLD, lambda *_: heard.append("a child"))
child = os.fork()
if child == 0:
    log.info("the child is here")
    caller()
# As supervisors do, for any child.
assert os.wait()[0] == child
deadline = time.monotonic() + 20
while not any(name.endswith(".crash.log") for name in os.listdir(LOGS)):
    assert time.monotonic() < deadline
    time.sleep(0.01)
print("heard of", heard)
"""
    )
    assert "heard of ['a child']" in said
    assert only_crash(logs).named("cause") == [WRITE]


def test_without_captures_there_is_pythons_traceback_alone(logs: Logs) -> None:
    logs.run(SETUP.replace("console=False", "console=False, crash_capture=False") + NATIVE + "caller()", status=-11)
    crash = only_crash(logs)
    assert not crash.named("cause") and not re.search(r"^#\d", crash.text, re.M), crash.text
    assert "Fatal Python error: Segmentation fault" in crash.text and ' in native\n  File "' in crash.text


ENABLE, DISABLE = "import faulthandler; faulthandler.enable()\n", "import faulthandler; faulthandler.disable()\n"


@pytest.mark.parametrize(
    ("before", "after", "printed"),
    [
        (ENABLE, "", 1),
        ("", ENABLE, 1),
        (ENABLE, ENABLE, 1),
        ("", DISABLE, 0),
        (ENABLE, DISABLE, 0),
        ("", DISABLE + ENABLE, 1),
        (ENABLE, DISABLE + ENABLE + DISABLE + ENABLE, 1),
    ],
)
def test_whoever_enables_faulthandler_the_stack_is_that_of_the_fault(logs: Logs, before: str, after: str, printed: int) -> None:
    said = logs.run(before + SETUP + after + NATIVE + "caller()", status=-11)
    assert said.count("Fatal Python error: Segmentation fault") == printed
    crash = only_crash(logs)
    assert "died of SIGSEGV" in logs.lines()[-1][1]
    assert crash.named("cause") == [WRITE]
    crash.check_stack()
    # What others had printed is not here.
    assert crash.named("python") == [] and "Fatal Python error" not in crash.text


def test_faulthandler_by_the_option_is_the_same(logs: Logs) -> None:
    said = logs.run(SETUP + NATIVE + "caller()", status=-11, python=("-X", "faulthandler"))
    assert said.count("Fatal Python error: Segmentation fault") == 1
    crash = only_crash(logs)
    assert crash.named("cause") == [WRITE]
    crash.check_stack()


def test_json_has_all_frames_and_marks_those_that_are_folded(logs: Logs) -> None:
    logs.run(SETUP + NATIVE + "caller()", status=-11)
    crash = only_crash(logs)
    [found] = json.loads(logs.tool("crashes", str(logs.folder), "--json"))["crashes"]
    thread = found["threads"][0]
    frames = thread["frames"]
    assert [frame["frame"] for frame in frames] == list(range(thread["frame_count"]))
    folded = {f"#{frame['frame']}" for frame in frames if frame.get("folded")}
    assert folded and folded == {line.split()[0] for line in crash.named("folded")}
    assert calls(thread["python"]) == ["native", "caller", "<module>"]


def test_the_folder_that_the_tool_is_started_in_has_no_say_in_what_it_starts(logs: Logs, tmp_path: Path) -> None:
    logs.run(SETUP + NATIVE + "caller()", status=-11)
    planted = tmp_path / "planted"
    (planted / "lastwords").mkdir(parents=True)
    for name in ["lastwords/__init__.py", "lastwords/__main__.py", "signal.py", "pathlib.py", "struct.py"]:
        (planted / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'a').close()\n")
    tool = [str(Path(sys.executable).with_name("lastwords")), "flush", "--once", str(logs.folder)]
    subprocess.run(tool, cwd=planted, check=True, capture_output=True, timeout=STUCK)
    assert not (tmp_path / "ran").exists()
    crash = Crash(*logs.crash_files())
    # Debug information was asked for, and the answers came.
    assert crash.named("cause") == [WRITE] and crash.named("note") == [], crash.text
