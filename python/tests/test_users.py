"""Servers that start as root and hand their work to another user, with the log folder where that user can write."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import lastwords
import pytest
from conftest import Logs

#: User `nobody`, without home or files.
USER = 65534
#: Seconds after which something is stuck.
STUCK = 30
APP = """
import logging, os
import lastwords

log = lastwords.setup_logger("web", os.environ["LOGS"])
log.info("loaded by %d", os.getuid())

def app(environ, start_response):
    for n in range(8):
        log.info("request %s line %d by %d", environ["QUERY_STRING"], n, os.getuid())
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\\n"]
"""


def _others_may_read(path: str | None) -> bool:
    return path is not None and all(parent.stat().st_mode & 0o005 == 0o005 for parent in Path(path).resolve().parents)


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not (_others_may_read(os.__file__) and _others_may_read(lastwords.__file__)),
    reason="needs root, and an interpreter and packages that other users can read",
)


def reachable(folder: Path) -> Path:
    """Has other users pass to a folder of pytest's, which are its user's alone."""
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    return folder


def give(folder: Path) -> None:
    folder.mkdir()
    os.chown(reachable(folder), USER, USER)


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in folder.rglob("*")}


class Gunicorn:
    """A server with two workers of ``nobody``, whose application logs."""

    def __init__(self, logs: Path, *arguments: str) -> None:
        pytest.importorskip("gunicorn")
        (logs.parent / "app.py").write_text(APP)
        reachable(logs.parent / "app.py").chmod(0o644)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "--user", "nobody", "--workers", "2", "--bind", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(
            [*command, "--worker-tmp-dir", "/dev/shm", *arguments, "app:app"],
            cwd=logs.parent,
            env={**os.environ, "LOGS": str(logs)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def request(self, number: int) -> None:
        start = time.monotonic()
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/?{number}", timeout=STUCK) as answer:
                    assert answer.read() == b"ok\n"
                return
            except OSError:
                assert time.monotonic() - start < STUCK, "the server does not answer"
                time.sleep(0.05)

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=STUCK)
        return output


def lines(folder: Path, start: str) -> int:
    return sum(f"] {start}" in line for path in folder.glob("web.log*") for line in path.read_text().splitlines())


@needs_root
@pytest.mark.parametrize("order", [("--preload",), ()], ids=["preloaded by root", "loaded by the workers"])
def test_gunicorn_whose_workers_are_another_user_loses_nothing_in_a_folder_of_that_user(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    logs = tmp_path / "logs"
    give(logs)
    server = Gunicorn(logs, *order)
    try:
        for number in range(100):
            server.request(number)
    finally:
        said = server.stop()
    assert "cannot" not in said, said
    assert lines(logs, "request ") == 800, said
    assert owners(logs) == {USER}


@needs_root
def test_gunicorn_that_made_the_folder_as_root_says_what_to_do(tmp_path: Path) -> None:
    logs = reachable(tmp_path / "logs")
    server = Gunicorn(logs, "--preload")
    try:
        server.request(1)
    finally:
        said = server.stop()
    assert "belongs to user 0, this process runs as user 65534" in said, said
    assert "chown -R 65534" in said, said


@needs_root
def test_a_script_that_becomes_the_folders_owner_loses_nothing(logs: Logs) -> None:
    give(logs.folder)
    logs.run(
        """
        log = lastwords.setup_logger("web", LOGS)
        log.info("line")
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        for n in range(10_000):
            log.info("line")
        if os.fork() == 0:
            for n in range(100):
                log.info("line")
            os._exit(0)
        os.wait()
        log.handlers[0].flush()
        """,
        python=(),
    )
    assert lines(logs.folder, "line") == 10_101
    assert owners(logs.folder) == {USER}


@pytest.mark.parametrize("mode", [0o640, "0640"])
def test_the_mode_of_log_files(logs: Logs, mode: int | str) -> None:
    logs.run(f"lastwords.setup_logger('web', LOGS, file_mode={mode!r}).info('line')")
    assert (logs.folder / "web.log").stat().st_mode & 0o777 == 0o640
    assert "0666 found" in logs.run("""
        try:
            lastwords.setup_logger("other", LOGS, file_mode=0o666)
        except ValueError as error:
            print(error)
    """)
