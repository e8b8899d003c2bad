"""What the tests share: scripts that run in a process of their own, and a check of what they left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

#: After so many seconds something is stuck.
STUCK = 60
#: What every script begins with.
HEAD = "import logging, os, sys, lastwords\nLOGS = os.environ['LOGS']\n"
_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[(\d+)\] \[([^]]+)\] (.*)")


class Logs:
    """A log folder, and scripts that log to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self, script: str, *, status: int | None = 0, python: tuple[str, ...] = ("-W", "error"), head: str = HEAD, **env: str
    ) -> str:
        """Runs a script with ``LOGS`` as the log folder, and returns what it printed, errors last.

        ``status`` is what it must end with, negative for a signal; None for anything.
        """
        done = self.start(script, python=python, head=head, **env)
        output, errors = done.communicate(timeout=STUCK)
        assert status is None or done.returncode == status, f"ended with {done.returncode}\n{output}\n{errors}"
        assert "--- Logging error" not in errors, errors
        return output + errors

    def start(
        self, script: str, *, python: tuple[str, ...] = ("-W", "error"), head: str = HEAD, **env: str
    ) -> subprocess.Popen[str]:
        """Starts a script."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LASTWORDS_", "PYTHONFAULT"))}
        return subprocess.Popen(
            [sys.executable, *python, "-c", head + textwrap.dedent(script)],
            env={**kept, "LOGS": str(self.folder), **env},
            # Where the package's sources are, they would be found before the package that is installed.
            cwd=self.folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_alone(self, script: str, **env: str) -> str:
        """Runs a script to which nothing was added, so that it imports the package itself."""
        path = self.folder.parent / "alone.py"
        path.write_text(script, encoding="utf-8")
        return self.run(f"import runpy\nrunpy.run_path({str(path)!r})", head="import os\nLOGS = os.environ['LOGS']\n", **env)

    def tool(self, *arguments: str, status: int | None = 0) -> str:
        """Runs ``python -m lastwords``."""
        done = subprocess.run(
            [sys.executable, "-m", "lastwords", *arguments],
            capture_output=True,
            text=True,
            timeout=STUCK,
            cwd=self.folder.parent,
        )
        assert status is None or done.returncode == status, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def drain(self) -> None:
        """Has what dead processes left written to the log files."""
        self.tool("flush", "--once", str(self.folder), status=None)

    def lines(self, role: str = "worker") -> list[tuple[str, str]]:
        """Level and message of each line of a role, further lines of a message with it."""
        found: list[tuple[str, str]] = []
        for line in self.text(role).splitlines():
            matched = _LINE.fullmatch(line)
            if matched:
                found.append((matched[2], matched[3]))
            else:
                level, text = found.pop()
                found.append((level, f"{text}\n{line}"))
        return found

    def messages(self, role: str = "worker") -> list[str]:
        """The messages alone."""
        return [text for _, text in self.lines(role)]

    def text(self, role: str = "worker") -> str:
        """The log file of a role, empty if there is none."""
        path = self.folder / f"{role}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def crash_files(self) -> list[str]:
        """The texts of all crash files."""
        return [path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("*.crash.log"))]


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    """A log folder of the test's own, not made yet."""
    return Logs(tmp_path / "logs")
