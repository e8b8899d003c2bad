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


GUNICORN_CONF = """
accesslog = "-"
logconfig_dict = {
    "disable_existing_loggers": False,
    "handlers": {"ring": {"class": "lastwords.RingHandler", "role": "web", "log_dir": LOGS}},
    "root": {"level": "INFO", "handlers": ["ring"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
    },
}
"""
PLAIN_APP = """
import logging
def app(environ, start_response):
    logging.getLogger("shop").info("asked for %s", environ["PATH_INFO"])
    start_response("200 OK", [])
    return [b"ok"]
"""


def test_gunicorns_own_loggers_land_in_the_role(logs: Logs, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed; python/test installs it")
    _write(tmp_path, "gunicorn.conf.py", GUNICORN_CONF, logs)
    _write(tmp_path, "plain_app_of_a_user.py", PLAIN_APP, logs)
    port = _port()
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "plain_app_of_a_user:app"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert _get(port, "/page") == b"ok"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(STUCK) == 0
    logs.drain()
    found = logs.messages("web")
    for part in ("Listening at", "Booting worker", "asked for /page", '"GET /page HTTP/1.1" 200', "Handling signal: term"):
        assert sum(part in text for text in found) >= 1, (part, found)
    assert not logs.crash_files()


PREFORK = """
import celery, lastwords, os, signal
from celery.signals import setup_logging
from celery.utils.log import get_task_logger
app = celery.Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}
@setup_logging.connect
def setup(**_): lastwords.setup_logger("worker", LOGS, root=True, console=False)
log = get_task_logger(__name__)
@app.task
def add(a, b): log.info("adding %d and %d", a, b)
@app.task
def fail():
    log.warning("about to be killed")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_celery_with_processes_of_which_one_is_killed(logs: Logs, tmp_path: Path) -> None:
    pytest.importorskip("celery", reason="celery is not installed; python/test installs it")
    _write(tmp_path, "prefork_of_a_user.py", PREFORK, logs)
    (tmp_path / "queue").mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("LASTWORDS_")}
    command = [sys.executable, "-m", "celery", "-A", "prefork_of_a_user", "worker", "--pool", "prefork", "-c", "2", "-l", "INFO"]
    worker = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ask = "import prefork_of_a_user as tasks\n[tasks.add.delay(n, 1) for n in {numbers}]\n{more}"

    def send(numbers: str, more: str = "", *, until: str) -> None:
        subprocess.run([sys.executable, "-c", ask.format(numbers=numbers, more=more)], cwd=tmp_path, env=env, check=True)
        limit = time.monotonic() + STUCK
        while not any(until in text for text in logs.messages()):
            assert time.monotonic() < limit and worker.poll() is None, logs.messages()
            time.sleep(0.1)

    try:
        send("range(5)", "tasks.fail.delay()", until="without closing its log")
        send("[5]", until="adding 5 and 1")
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(STUCK) == 0
    logs.drain()
    found = logs.messages()
    assert sorted(text for text in found if text.startswith("adding")) == [f"adding {n} and 1" for n in range(6)]
    assert found.count("about to be killed") == 1
    assert len([level for level, text in logs.lines() if "without closing its log" in text]) == len(logs.crash_files()) == 1


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
