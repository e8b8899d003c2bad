"""An example that does not do what it shows teaches the wrong thing, so each is run as a user runs it.

``requirements-examples.txt`` names what that needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "python"
#: A program or a server that takes longer hangs.
WATCHDOG_SECONDS = 60
RECORD = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \[(\d+)\] \[([A-Z]+)\] ")


def environment(folder: Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("LASTWORDS_")}
    return others | {"LASTWORDS_DIR": str(folder)}


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]


def run(folder: Path, name: str, *arguments: str) -> str:
    """Runs an example, which must succeed, and returns what it printed."""
    done = subprocess.run(
        command(name, *arguments), env=environment(folder), capture_output=True, text=True, timeout=WATCHDOG_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def messages(path: Path) -> list[str]:
    """The lines of a text log that begin a record, without time and pid."""
    return [line.split("] ", 1)[1] for line in path.read_text().splitlines() if RECORD.match(line)]


def objects(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def line_of(name: str, text: str) -> int:
    """Number of the one line of an example that has this text."""
    (number,) = [number for number, line in enumerate((EXAMPLES / name).read_text().splitlines(), 1) if text in line]
    return number


def worker_pid(folder: Path) -> int:
    return int(re.search(r"worker (\d+) started", (folder / "host.log").read_text())[1])


WORK = ["[INFO] asked to square 3", "[INFO] asked to square 4", "[INFO] asked to square -5", "[WARNING] -5 is negative"]
KILLED = {"null": "SIGSEGV", "abort": "SIGABRT", "kill": "SIGKILL"}


@pytest.mark.parametrize("death", ["null", "abort", "kill", "raise", "exit"])
def test_both_logs_have_what_host_and_worker_said(tmp_path: Path, death: str) -> None:
    printed = run(tmp_path, "host.py", "--death", death)
    host, worker = messages(tmp_path / "host.log"), messages(tmp_path / "worker.log")
    assert worker[:5] == [*WORK, f"[INFO] asked to die {death}"]
    assert [line for line in host if "answer" in line] == [f"[INFO] answer: {text}" for text in (9, 16, 25, "none")]
    assert "[WARNING] -5 is negative" in host
    ends = {"raise": "[INFO] worker {} ended with status 1", "exit": "[INFO] worker {} ended with status 0"}
    killed = f"[ERROR] worker {{}} was killed by {KILLED.get(death)}"
    assert host[-1] == ends.get(death, killed).format(worker_pid(tmp_path))
    paths = re.findall(r"^(?:host log|worker log|crash file): +(\S+)$", printed, re.MULTILINE)
    assert len(paths) == (3 if death in KILLED else 2)
    assert all(Path(path).exists() for path in paths)


@pytest.mark.parametrize(
    ("death", "known"), [("null", "died of SIGSEGV"), ("abort", "died of SIGABRT"), ("kill", "(?:was killed by SIGKILL|died)")]
)
def test_a_killed_worker_leaves_one_death_line_and_a_crash_file(tmp_path: Path, death: str, known: str) -> None:
    run(tmp_path, "host.py", "--death", death)
    pid = worker_pid(tmp_path)
    (crash_file,) = tmp_path.glob("*.crash.log")
    (line,) = [line for line in messages(tmp_path / "worker.log") if "[CRITICAL]" in line]
    # Linux before 6.15 does not report a SIGKILL.
    assert re.search(rf"the process {known} without closing its log \(pid {pid}, role worker\)", line)
    assert line.endswith(f"its black box is {crash_file.name}")
    text = crash_file.read_text()
    assert f"[{pid}] [INFO] [MainThread {pid}] asked to die {death}\n" in text
    assert "recorded     info in the log files, debug in the ring" in text


@pytest.mark.parametrize(("death", "place"), [("null", "ctypes.memset"), ("abort", "os.abort()")])
def test_a_crash_file_has_the_tracebacks_of_all_threads(tmp_path: Path, death: str, place: str) -> None:
    run(tmp_path, "host.py", "--death", death)
    (crash_file,) = tmp_path.glob("*.crash.log")
    text, worker = crash_file.read_text().partition("\nattached ")[2], EXAMPLES / "worker.py"
    assert f'File "{worker}", line {line_of("worker.py", place)} in die\n' in text
    assert f'File "{worker}", line {line_of("worker.py", "die(argument)")} in main\n' in text
    assert re.search(rf'File "{re.escape(str(worker))}", line \d+ in heartbeat\n', text)


def test_a_crash_file_has_the_lines_below_the_log_level_and_the_names_of_threads(tmp_path: Path) -> None:
    run(tmp_path, "host.py", "--death", "kill")
    (crash_file,) = tmp_path.glob("*.crash.log")
    text = crash_file.read_text()
    for number in (3, 4, -5):
        assert re.search(rf"\[DEBUG\] \[MainThread \d+\] squaring {number}\n", text)
    assert re.search(r"\[DEBUG\] \[heartbeat \d+\] beat 0\n", text)
    assert "[DEBUG]" not in (tmp_path / "worker.log").read_text()


def test_an_exception_of_the_worker_is_in_its_log_with_the_traceback(tmp_path: Path) -> None:
    run(tmp_path, "host.py", "--death", "raise")
    text = (tmp_path / "worker.log").read_text()
    assert "[CRITICAL] uncaught exception\nTraceback (most recent call last):\n" in text
    assert text.endswith("RuntimeError: asked to raise\n")


@pytest.mark.parametrize("death", ["raise", "exit"])
def test_an_ordinary_end_gives_no_alarm(tmp_path: Path, death: str) -> None:
    run(tmp_path, "host.py", "--death", death)
    # The next process finds the rings of the dead.
    subprocess.run([sys.executable, "-m", "lastwords", "flush", "--once", str(tmp_path)], check=False, capture_output=True)
    assert "died" not in (tmp_path / "worker.log").read_text()
    assert not list(tmp_path.glob("*.crash.log"))


def test_json_logs_sort_into_the_order_of_events(tmp_path: Path) -> None:
    printed = run(tmp_path, "host.py", "--death", "null")
    (sort,) = re.findall(r"^both logs: +(.*)$", printed, re.MULTILINE)
    merged = [json.loads(line) for line in subprocess.check_output(sort, shell=True, text=True).splitlines()]
    said = [(line["role"], line["message"]) for line in merged]
    for number, answer in ((3, 9), (4, 16), (-5, 25)):
        at = [said.index(("host", f"request: square {number}")), said.index(("worker", f"asked to square {number}"))]
        assert at == sorted(at) and at[1] < said.index(("host", f"answer: {answer}"))
    assert said.index(("worker", "asked to die null")) < said.index(("host", "answer: none"))
    assert len(said) == len(objects(tmp_path / "host.jsonl")) + len(objects(tmp_path / "worker.jsonl"))


def test_the_command_of_the_readme_merges_text_logs_and_keeps_tracebacks_whole(tmp_path: Path) -> None:
    run(tmp_path, "host.py", "--death", "raise")
    (awk,) = re.findall(r"^awk .*$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    merged = subprocess.check_output(awk, shell=True, text=True, cwd=tmp_path)
    times = [RECORD.match(line)[1] for line in merged.splitlines() if RECORD.match(line)]
    assert times == sorted(times)
    logs = [(tmp_path / name).read_text() for name in ("host.log", "worker.log")]
    assert sorted(merged.splitlines()) == sorted("".join(logs).splitlines())
    traceback = logs[1][logs[1].index("[CRITICAL]") :]
    assert traceback.count("\n") > 5 and traceback in merged


def test_the_drop_in_rotates_and_has_every_line_once(tmp_path: Path) -> None:
    printed = run(tmp_path, "rotating.py")
    names = ["shop.log", "shop.log.1", "shop.log.2"]
    assert sorted(path.name for path in tmp_path.glob("shop.log*")) == names
    assert all((tmp_path / name).stat().st_size <= 65536 and str(tmp_path / name) in printed for name in names)
    text = "".join((tmp_path / name).read_text() for name in reversed(names))
    assert re.findall(r"\[INFO\] (.*)", text) == [f"order {order} is on its way" for order in range(2500)]
    assert "[ERROR] order 2500 has no customer\nTraceback" in text and text.endswith("KeyError: 'customer'\n")
    assert [len(re.findall(rf"# {number}:", (EXAMPLES / "rotating.py").read_text())) for number in range(1, 6)] == [1] * 5


def test_dict_config_makes_handlers_of_root_and_named_loggers(tmp_path: Path) -> None:
    run(tmp_path, "dict_config.py")
    assert messages(tmp_path / "app.log") == ["[INFO] open", "[DEBUG] select 1", "[WARNING] closing soon"]
    (line,) = objects(tmp_path / "audit.jsonl")
    assert (line["target"], line["message"]) == ("shop.audit", "logged in")
    assert line["fields"] == {"user": "ada", "attempt": 2}


def test_django_logs_requests_and_the_traceback_of_one_that_fails(tmp_path: Path) -> None:
    pytest.importorskip("django", reason="requirements-examples.txt is not installed")
    printed = run(tmp_path, "django_settings.py")
    assert "/ 200\n" in printed and "/broken 500\n" in printed
    assert messages(tmp_path / "web.log")[0] == "[INFO] / is asked for"
    text = (tmp_path / "web.log").read_text()
    assert "[ERROR] Internal Server Error: /broken" in text
    raised = line_of("django_settings.py", "raise LookupError")
    assert f'File "{EXAMPLES / "django_settings.py"}", line {raised}, in broken\n' in text
    assert "LookupError: no such order" in text and "status_code=500" in text


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_a_pool_log_to_one_file_and_only_the_killed_one_has_a_death_line(tmp_path: Path, method: str) -> None:
    run(tmp_path, "pool.py", "--method", method)
    text = (tmp_path / "pool.log").read_text()
    assert sorted(map(int, re.findall(r"squaring (\d+)\n", text))) == list(range(20))
    (killed,) = re.findall(r"\[(\d+)\] \[INFO\] this is the end\n", text)
    died = re.findall(r"without closing its log \(pid (\d+), role pool\)", text)
    assert died == [killed]
    assert [path.name.split("-")[1] for path in tmp_path.glob("*.crash.log")] == [killed]
    host = (tmp_path / "host.log").read_text()
    assert f"the pool's squares: {[number**2 for number in range(10)]}\n" in host
    assert "[ERROR] the executor is broken\nTraceback" in host and "BrokenProcessPool" in host


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Runs the web server, yields its address, and ends it as Ctrl-C does."""
    program = command("web.py", "--port", "0")
    with subprocess.Popen(program, env=environment(folder), stderr=subprocess.PIPE, text=True) as process:
        watchdog = time.monotonic() + WATCHDOG_SECONDS
        try:
            while not (found := re.search(r"running on (http://[0-9.:]+)", process.stderr.readline())):
                assert process.poll() is None and time.monotonic() < watchdog, "the server does not start"
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=WATCHDOG_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=WATCHDOG_SECONDS) as response:
        return response.read().decode()


def test_a_web_server_logs_request_ids_as_fields_and_exceptions_of_tasks(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="requirements-examples.txt is not installed")
    with server(tmp_path) as address:
        ids = [get(f"{address}/hello"), get(f"{address}/mail")]
        with pytest.raises(urllib.error.HTTPError, match="500") as failed:
            get(f"{address}/broken")
        failed.value.close()
    lines = objects(tmp_path / "web.jsonl")
    answered = [line["fields"] for line in lines if line["message"] == "answered"]
    paths = ("/hello", "/mail")
    assert answered == [{"request_id": id_, "path": path, "status": 200} for id_, path in zip(ids, paths, strict=True)]
    access = [line["message"] for line in lines if line["target"] == "uvicorn.access"]
    assert [re.sub(r"^.* - ", "", text) for text in access] == [
        '"GET /hello HTTP/1.1" 200', '"GET /mail HTTP/1.1" 200', '"GET /broken HTTP/1.1" 500'
    ]  # fmt: skip
    (task,) = [line for line in lines if line["level"] == "CRITICAL"]
    assert task["message"].startswith("Task exception was never retrieved")
    assert task["exception"].endswith("ConnectionError: no mail server")
    (broken,) = [line for line in lines if line["message"].startswith("Exception in ASGI application")]
    assert broken["exception"].endswith("LookupError: no such order")
    assert lines[-1]["message"].startswith("Finished server process")
    assert not list(tmp_path.glob("*.crash.log"))
