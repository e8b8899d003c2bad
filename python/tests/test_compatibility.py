"""Programs of others with a logger of ours, as docs/compatibility.md lists them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import STUCK, Logs

APP = """
import logging, lastwords
lastwords.setup_logger("web", LOGS, root=True, console=False)
log = logging.getLogger(__name__)
def app(environ, start_response):
    log.info("asked for %s", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""
TASKS = """
import celery, lastwords, logging
from celery.signals import setup_logging
@setup_logging.connect
def setup(**_): lastwords.setup_logger("worker", LOGS, root=True, console=False)
app = celery.Celery("tasks", broker="memory://", backend="cache+memory://")
log = logging.getLogger(__name__)
@app.task
def add(a, b):
    log.info("adding %d and %d", a, b)
    return a + b
"""


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _write(folder: Path, name: str, text: str, logs: Logs) -> None:
    (folder / name).write_text(text.replace("LOGS", repr(str(logs.folder))))


def _get(port: int, path: str) -> bytes:
    until = time.monotonic() + STUCK
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                return bytes(answer.read())
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["plain", "preload"])
def test_gunicorn(logs: Logs, tmp_path: Path, preload: list[str]) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed; python/test installs it")
    _write(tmp_path, "site_of_a_user.py", APP, logs)
    port = _port()
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", *preload, "site_of_a_user:app"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for n in range(20):
            assert _get(port, f"/{n}") == b"ok"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(STUCK) == 0
    logs.drain()
    assert sorted(logs.messages("web")) == sorted(f"asked for /{n}" for n in range(20))
    assert not logs.crash_files()


def test_celery(logs: Logs, tmp_path: Path) -> None:
    pytest.importorskip("celery", reason="celery is not installed; python/test installs it")
    _write(tmp_path, "tasks_of_a_user.py", TASKS, logs)
    script = """
import threading, time
from celery.contrib.testing.worker import start_worker
import tasks_of_a_user
tasks_of_a_user.setup()
with start_worker(tasks_of_a_user.app, perform_ping_check=False, pool="solo"):
    results = [tasks_of_a_user.add.delay(n, 1) for n in range(5)]
    print([result.get(timeout=30) for result in results])
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LASTWORDS_")}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=STUCK)
    assert done.returncode == 0 and "[1, 2, 3, 4, 5]" in done.stdout, done.stdout + done.stderr
    found = logs.messages()
    assert [text for text in found if text.startswith("adding")] == [f"adding {n} and 1" for n in range(5)]
    assert any("succeeded in" in text for text in found), "celery's own loggers land in the role"


@pytest.mark.parametrize("order", ["first", "last"])
def test_sentry(logs: Logs, order: str) -> None:
    pytest.importorskip("sentry_sdk", reason="sentry_sdk is not installed; python/test installs it")
    sentry = """
import sentry_sdk
events = []
def before_send(event, hint):
    events.append(event)
sentry_sdk.init(dsn="http://key@127.0.0.1:1/1", before_send=before_send, default_integrations=True)
"""
    setup = 'import lastwords\nlog = lastwords.setup_logger("worker", LOGS, console=False)\n'
    parts = [sentry, setup] if order == "first" else [setup + 'log.info("early")\n', sentry]
    said = logs.run_alone(
        "import os\nLOGS = os.environ['LOGS']\n"
        + "".join(parts)
        + 'log.info("a crumb %d", 7)\nlog.error("an event")\n'
        + 'print(len(events), [crumb["message"] for crumb in events[0]["breadcrumbs"]["values"]])\n'
    )
    assert said.splitlines()[0].startswith("1 ") and "'a crumb 7'" in said
    assert logs.messages()[-2:] == ["a crumb 7", "an event"]
