"""Ends by a signal whose default action the program has restored, and by exec: neither is a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import STUCK, Logs
from test_processes import no_alarm

SETUP = 'log = lastwords.setup_logger("worker", LOGS, console=False)\nlog.info("running")\n'
#: How programs restore the default action of SIGTERM and end by it, before and after our setup.
ENDS = {
    "restored": "earlier = signal.signal(signal.SIGTERM, print)\n{setup}signal.signal(signal.SIGTERM, earlier)\n{kill}",
    "replaced and restored": "{setup}earlier = signal.signal(15, print)\nsignal.signal(15, earlier)\n{kill}",
    "default": "{setup}signal.signal(signal.SIGTERM, signal.SIG_DFL)\n{kill}",
    "default by number": "{setup}signal.signal(15, 0)\n{kill}",
    "asyncio": """{setup}
import asyncio
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, print)
    loop.remove_signal_handler(signal.SIGTERM)
    {kill}
asyncio.run(main())
""",
    "uvicorn": """{setup}
async def app(scope, receive, send): pass
import uvicorn
class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        {kill}
Server(uvicorn.Config(app, port=0, log_level="error")).run()
""",
}
KILL = "os.kill(os.getpid(), signal.SIGTERM)"


@pytest.mark.parametrize("end", ENDS)
def test_a_program_that_restores_the_default_action_and_ends_by_the_signal_raises_no_alarm(logs: Logs, end: str) -> None:
    if end == "uvicorn":
        pytest.importorskip("uvicorn", reason="requirements-examples.txt is not installed")
    logs.run("import signal\n" + ENDS[end].format(setup=SETUP, kill=KILL), status=-signal.SIGTERM, python=())
    no_alarm(logs)


def test_what_a_program_sees_of_its_handlers_is_as_without_us(logs: Logs) -> None:
    logs.run(
        """
import inspect, signal
parameters = inspect.signature(signal.signal)
def mine(number, frame): pass
"""
        + SETUP
        + """
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    assert signal.getsignal(number) is default
    assert signal.signal(number, mine) is default
    assert signal.signal(number, signal.SIG_IGN) is mine
    assert signal.signal(number, signal.SIG_DFL) is signal.SIG_IGN
    assert signal.getsignal(number) is signal.SIG_DFL
    assert signal.signal(signalnum=number, handler=default) is signal.SIG_DFL
assert inspect.signature(signal.signal) == parameters
for wrong in (ValueError, 4000, signal.SIG_DFL), (TypeError, signal.SIGTERM, None), (TypeError, signal.SIGTERM, "x"):
    try: signal.signal(*wrong[1:])
    except wrong[0]: pass
    else: raise AssertionError(wrong)
"""
    )
    no_alarm(logs)


def test_a_handler_that_was_restored_still_makes_a_kill_a_crash(logs: Logs) -> None:
    logs.run("import signal\n" + SETUP + "signal.signal(15, signal.SIG_DFL)\nos.kill(os.getpid(), 9)", status=-9)
    logs.drain()
    assert [text for level, text in logs.lines() if level == "CRITICAL"]
    assert len(logs.crash_files()) == 1


EXECS = {
    "execv": "os.execv('/bin/true', ['true'])",
    "execve": "os.execve('/bin/true', ['true'], {})",
    "execve of a descriptor": "assert os.execve in os.supports_fd; os.execve(os.open('/bin/true', 0), ['true'], {})",
    "execl": "os.execl('/bin/true', 'true')",
    "execle": "os.execle('/bin/true', 'true', {})",
    "execlp": "os.execlp('true', 'true')",
    "execlpe": "os.execlpe('true', 'true', {'PATH': '/nowhere:/bin'})",
    "execvp": "os.execvp('true', ['true'])",
    "execvpe": "os.execvpe('true', ['true'], {'PATH': '/bin'})",
}


@pytest.mark.parametrize("how", EXECS)
def test_exec_of_any_kind_raises_no_alarm(logs: Logs, how: str) -> None:
    logs.run(SETUP + EXECS[how])
    no_alarm(logs)


@pytest.mark.parametrize("close", ["", "os.closerange(3, 65536)"])
def test_a_forked_child_that_logs_and_executes_a_program_raises_no_alarm(logs: Logs, close: str) -> None:
    for program in "true", "false":
        logs.run(
            SETUP
            + f"""
child = os.fork()
if child == 0:
    log.info("in the child")
    {close or "pass"}
    os.execlp({program!r}, {program!r})
os.waitpid(child, 0)
"""
        )
    no_alarm(logs)
    assert logs.messages().count("in the child") == 2


def test_a_child_of_subprocess_that_logs_before_its_program_raises_no_alarm(logs: Logs) -> None:
    release = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])
    if release < (6, 15):
        pytest.skip("Linux before 6.15 tells nobody how a process ended")
    logs.run(
        SETUP
        + """
import subprocess
log.handlers[0].flush()
for seconds in ("0", "2"):
    subprocess.run(["sleep", seconds], preexec_fn=lambda: log.info("in the child"), check=True)
""",
        python=(),
    )
    no_alarm(logs)
    assert logs.messages().count("in the child") == 2


#: How a program ends that took what ends it before we could wrap it, or ends past Python.
PAST_US = {
    "from os import _exit": "leave(0)",
    "_exit of the C library": "ctypes.CDLL(None)._exit(0)",
    "the system call": "ctypes.CDLL(None).syscall(231, 0)",
    "execv of the C library": "ctypes.CDLL(None).execv(b'/bin/true', (ctypes.c_char_p * 2)(b'true'))",
    "quick_exit": "ctypes.CDLL(None).quick_exit(0)",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of a system call is another one elsewhere")
@pytest.mark.parametrize("how", PAST_US)
@pytest.mark.parametrize("witness", ["another process flushes", "a child that has logged"])
def test_an_end_that_nothing_of_ours_sees_is_told_as_the_kernel_tells_it(logs: Logs, how: str, witness: str) -> None:
    release = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])
    if release < (6, 15):
        pytest.skip("Linux before 6.15 tells nobody how a process ended")
    head = "from os import _exit as leave\nimport ctypes, os, sys, time, lastwords\nLOGS = os.environ['LOGS']\n"
    before, daemon = SETUP, None
    if witness.startswith("another"):
        logs.folder.mkdir()
        daemon = subprocess.Popen([sys.executable, "-m", "lastwords", "flush", str(logs.folder)], cwd=logs.folder.parent)
        before = before.replace("console=False", "console=False, flusher='never'")
        before += "while 'running' not in open(LOGS + '/worker.log').read(): time.sleep(0.05)\n"
    else:
        before += """
log.handlers[0].flush()
if os.fork() == 0:
    log.info("in the child")
    log.handlers[0].flush()
    time.sleep(1.5)
    sys.exit()
time.sleep(0.5)
"""
    logs.run(before + PAST_US[how], head=head, python=())
    if daemon is not None:
        time.sleep(1)
        daemon.terminate()
        daemon.wait(STUCK)
    else:
        time.sleep(2)
    no_alarm(logs)
    assert "running" in logs.messages()


def test_an_exec_that_fails_is_taken_back(logs: Logs) -> None:
    logs.run(
        SETUP
        + """
for attempt in (lambda: os.execv("/nowhere", ["x"]), lambda: os.execlp("nowhere-at-all", "x"), lambda: os.execv("/bin/true", [])):
    try: attempt()
    except (OSError, ValueError): pass
    else: raise AssertionError("it went on")
log.info("still here")
os.kill(os.getpid(), 9)
""",
        status=-9,
    )
    logs.drain()
    assert "still here" in logs.messages()
    assert len(logs.crash_files()) == 1


def test_posix_spawn_is_no_end(logs: Logs) -> None:
    logs.run(SETUP + "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)\nos.kill(os.getpid(), 9)", status=-9)
    logs.drain()
    assert len(logs.crash_files()) == 1


def serve(logs: Logs, command: Callable[[int], list[str]]) -> None:
    """Starts a server, asks it once, and stops it by SIGTERM."""
    path = logs.folder.parent / "app.py"
    path.write_text(
        """
import lastwords, os
log = lastwords.setup_logger("web", os.environ["LOGS"], console=False)
async def app(scope, receive, send):
    if scope["type"] != "http": return
    log.info("served")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    env = {**os.environ, "LOGS": str(logs.folder), "PYTHONWARNINGS": "ignore"}
    server = subprocess.Popen(command(port), cwd=Path(path).parent, env=env, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + STUCK
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=STUCK) as answer:
                assert answer.read() == b"ok"
            break
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None and time.monotonic() < deadline, server.communicate()
            time.sleep(0.05)
    server.send_signal(signal.SIGTERM)
    _, errors = server.communicate(timeout=STUCK)
    assert server.returncode in (0, -signal.SIGTERM), errors


def test_uvicorn_stopped_by_sigterm_raises_no_alarm(logs: Logs) -> None:
    pytest.importorskip("uvicorn", reason="requirements-examples.txt is not installed")
    serve(logs, lambda port: [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "error"])
    no_alarm(logs)
    assert logs.messages("web") == ["served"]


@pytest.mark.parametrize("preload", [[], ["--preload"]])
def test_gunicorn_with_uvicorns_worker_stopped_by_sigterm_raises_no_alarm(logs: Logs, preload: list[str]) -> None:
    pytest.importorskip("gunicorn", reason="requirements-examples.txt is not installed")
    worker = "uvicorn.workers.UvicornWorker"
    serve(
        logs,
        lambda port: [sys.executable, "-m", "gunicorn", "-k", worker, "-w", "2", "-b", f"127.0.0.1:{port}", *preload, "app:app"],
    )
    no_alarm(logs)
    assert logs.messages("web") == ["served"]
