"""A process that is killed by SIGKILL takes nothing with it that a log call had accepted.

If a record became whole only after its call had returned, or the drain after the death took a record twice or half, a crash
would cost the very lines that explain it, or show lines that were never logged. So processes log flat out, acknowledge each
line when its call has returned, and are killed at a random moment. A line that is in flight then may be there or not.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import random
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sigkill_child import FORGOTTEN, MESSAGE, RUNNING, dots

KILLS = 50
#: Shortest and longest time between the first line and the kill, in seconds.
KILL_AFTER = (0.01, 0.12)
#: Longest time between the kills of two processes of a tree, in seconds.
KILL_APART = 0.03
#: Small, so that there are many rotations; so many are kept that nothing is rotated away.
ROTATE_SIZE, ROTATE_KEEP = 512 << 10, 100

PLANS = {
    "one thread": {"threads": 1, "processes": 0},
    "four threads": {"threads": 4, "processes": 0},
    "two forked processes": {"threads": 1, "processes": 2},
}
LINE = re.compile(r"[-\d]{10} [:.\d]{12} \[\d+\] \[INFO\] (writer (\d+) line (\d+) .*)")
#: What lastwords says of a process that was killed.
NOTICE = re.compile(
    r"[-\d]{10} [:.\d]{12} \[\d+\] "
    r"(?:\[CRITICAL\] lastwords: the process (?:died|was killed by SIGKILL) without closing its log \(.*|"
    r"\[WARNING\] lastwords: the records that follow were left by an earlier run of .* and are older than this line)"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are rings on Linux only")


@dataclass
class Findings:
    """What is wrong with the log files of a killed process: ``(writer, number)`` of lines, and lines that are not whole."""

    missing: list[tuple[int, int]] = field(default_factory=list)
    doubled: list[tuple[int, int]] = field(default_factory=list)
    #: Lines that come after a later one of the same writer.
    disordered: list[tuple[int, int]] = field(default_factory=list)
    #: Lines that were never logged.
    invented: list[tuple[int, int]] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)


def log_files(folder: Path) -> list[Path]:
    """The log files, the oldest first."""
    files = [path for path in folder.glob("worker.log*") if re.fullmatch(r"worker\.log(\.\d+)?", path.name)]
    return sorted(files, key=lambda path: -int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0)


def check(folder: Path, acknowledged: list[int]) -> Findings:
    """Looks for every acknowledged line, and at every line that is there."""
    findings = Findings()
    seen: list[set[int]] = [set() for _ in acknowledged]
    newest = [-1] * len(acknowledged)
    for path in log_files(folder):
        for line in path.read_bytes().decode(errors="backslashreplace").split("\n")[:-1]:
            match = LINE.fullmatch(line)
            writer, number = (int(match[2]), int(match[3])) if match else (-1, -1)
            if not match or match[1] != MESSAGE % (writer, number, dots(number)):
                findings.torn += [] if NOTICE.fullmatch(line) else [line]
            elif writer >= len(acknowledged) or number > acknowledged[writer]:
                findings.invented.append((writer, number))
            elif number in seen[writer]:
                findings.doubled.append((writer, number))
            else:
                findings.disordered += [(writer, number)] if number < newest[writer] else []
                newest[writer] = max(newest[writer], number)
                seen[writer].add(number)
        if not path.read_bytes().endswith(b"\n"):
            findings.torn.append(f"{path.name} ends within a line")
    for writer, count in enumerate(acknowledged):
        findings.missing += [(writer, number) for number in range(count) if number not in seen[writer]]
    return findings


class Tree:
    """A process that logs, with those that it forked."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.writers = plan["threads"] + plan["processes"]
        acknowledged = folder / "acknowledged"
        acknowledged.write_bytes(bytes(mmap.PAGESIZE))
        with acknowledged.open("r+b") as file:
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        # Every process of the tree holds the pipe's other end: when it is closed, all are dead.
        self.all_dead, held = os.pipe()
        self.errors = folder / "errors"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LASTWORDS_", "PYTHONFAULT"))}
        child = Path(__file__).with_name("sigkill_child.py")
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", child, folder / "logs", acknowledged, json.dumps(plan)],
                cwd=folder, env=kept, stderr=errors, pass_fds=[held], start_new_session=True,
            )  # fmt: skip
        os.close(held)

    def cell(self, index: int) -> int:
        """A number of the shared page."""
        return int.from_bytes(self.page[index * 8 : index * 8 + 8], sys.byteorder)

    def acknowledged(self) -> list[int]:
        """How many calls of each writer have returned."""
        return [self.cell(writer) for writer in range(self.writers)]

    def wait_until_all_log(self) -> None:
        """Waits for the first line of every writer."""
        end = time.monotonic() + FORGOTTEN
        while not (self.cell(RUNNING) and all(self.acknowledged())):
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < end, f"not all log: {self.acknowledged()}"
            time.sleep(0.001)

    def kill(self, moments: random.Random) -> None:
        """Kills all processes at once, or one after the other in any order: the others go on without a flusher, or as it."""
        pids = [self.process.pid, *self._forked()]
        moments.shuffle(pids)
        apart = moments.choice([0.0, KILL_APART])
        for pid in pids if apart else []:
            os.kill(pid, 9)
            time.sleep(moments.uniform(0, apart))
        self.end()

    def _forked(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def end(self) -> None:
        """Kills whatever is left, and waits until nothing is."""
        if self.all_dead < 0:
            return
        # The group is there until its first process has been waited for.
        os.killpg(self.process.pid, 9)
        self.process.wait()
        ready, _, _ = select.select([self.all_dead], [], [], FORGOTTEN)
        os.close(self.all_dead)
        self.all_dead = -1
        assert ready, "a killed process lives"


def wait_until_unlocked(lock: Path) -> None:
    """Waits until no flusher holds the lock. That thread's table of descriptors is its own, and closed on its own."""
    end = time.monotonic() + FORGOTTEN
    while lock.exists() and not is_free(lock):
        assert time.monotonic() < end, f"a dead process's thread holds {lock}"
        time.sleep(0.001)


def is_free(lock: Path) -> bool:
    """Whether nobody holds the lock."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def drain(folder: Path) -> None:
    """Has what the dead left written to its files."""
    wait_until_unlocked(folder / "logs" / "rings" / "flusher.lock")
    done = subprocess.run(
        [sys.executable, "-m", "lastwords", "flush", "--once", folder / "logs"],
        cwd=folder, capture_output=True, text=True, timeout=FORGOTTEN,
    )  # fmt: skip
    # 1 is: there was nothing to drain.
    assert done.returncode in (0, 1), done.stdout + done.stderr


#: What the log says where processes that log flat out left the flusher no processor for as long as a full ring waits.
COUNTED = re.compile(rb"\] lastwords: .* lost")
#: Such a kill shows nothing of what it is to show, and is done again, so often at most.
TRIES = 4


def killed_tree(kill: int, folder: Path) -> list[int]:
    """Has a tree log, kills it, drains what it left, and returns how many lines of each writer were acknowledged."""
    moments = random.Random(kill)
    name = list(PLANS)[kill % len(PLANS)]
    small = kill // 6 % 2 == 0
    settings = {"rotate_size": ROTATE_SIZE, "rotate_keep": ROTATE_KEEP} if small else {"rotate_size": 1 << 30}
    plan = {**PLANS[name], "log_records": kill // 3 % 2 == 1, "settings": settings}
    print(f"seed {kill}: {name}, {plan}")
    tree = Tree(folder, plan)
    try:
        tree.wait_until_all_log()
        time.sleep(moments.uniform(*KILL_AFTER))
        assert tree.process.poll() is None, tree.errors.read_text()
        tree.kill(moments)
    finally:
        tree.end()
    drain(folder)
    assert tree.errors.read_text() == ""
    assert len(log_files(folder / "logs")) <= ROTATE_KEEP, "lines may have been rotated away"
    return tree.acknowledged()


@pytest.mark.parametrize("kill", range(KILLS))
def test_every_acknowledged_line_is_in_the_file_once_and_in_order(kill: int, tmp_path: Path) -> None:
    for attempt in range(1, TRIES + 1):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        acknowledged = killed_tree(kill, folder)
        counted = [path.name for path in log_files(folder / "logs") if COUNTED.search(path.read_bytes())]
        if not counted or attempt == TRIES:
            assert check(folder / "logs", acknowledged) == Findings()
            return
        print(f"the flusher had no processor, and {counted} count the lines that are lost: once more")


def written(folder: Path, lines: list[str]) -> Path:
    """Writes log files as two rotated halves, the last line of each writer not acknowledged."""
    half = len(lines) // 2
    (folder / "worker.log.1").write_text("".join(lines[:half]))
    (folder / "worker.log").write_text("".join(lines[half:]))
    return folder


@pytest.fixture
def lines() -> list[str]:
    """The whole lines of two writers, 20 each."""
    head = "2026-11-24 18:17:33.471 [4157] [INFO] "
    return [f"{head}{MESSAGE % (writer, number, dots(number))}\n" for number in range(20) for writer in range(2)]


def test_the_check_accepts_whole_files(tmp_path: Path, lines: list[str]) -> None:
    notice = "2026-11-24 18:17:33.471 [4157] [CRITICAL] lastwords: the process died without closing its log (pid 4157)\n"
    assert check(written(tmp_path, [*lines, notice]), [20, 20]) == Findings()
    assert check(tmp_path, [19, 19]) == Findings(), "a line that was in flight may be there"


def test_the_check_sees_a_line_that_was_taken_out(tmp_path: Path, lines: list[str]) -> None:
    del lines[14]
    assert check(written(tmp_path, lines), [20, 20]) == Findings(missing=[(0, 7)])


def test_the_check_sees_a_last_line_that_was_taken_out(tmp_path: Path, lines: list[str]) -> None:
    del lines[-1]
    assert check(written(tmp_path, lines), [20, 20]) == Findings(missing=[(1, 19)])


def test_the_check_sees_a_file_that_was_rotated_away(tmp_path: Path, lines: list[str]) -> None:
    (written(tmp_path, lines) / "worker.log.1").unlink()
    assert check(tmp_path, [20, 20]).missing == [(writer, number) for writer in range(2) for number in range(10)]


def test_the_check_sees_a_line_that_was_doubled(tmp_path: Path, lines: list[str]) -> None:
    lines.insert(30, lines[14])
    assert check(written(tmp_path, lines), [20, 20]) == Findings(doubled=[(0, 7)])


@pytest.mark.parametrize("cut", [slice(None, -6), slice(None, -1), slice(5, None), slice(45, None)])
def test_the_check_sees_a_line_that_was_cut(tmp_path: Path, lines: list[str], cut: slice) -> None:
    lines[15] = lines[15].rstrip("\n")[cut] + "\n"
    findings = check(written(tmp_path, lines), [20, 20])
    assert (findings.torn, findings.missing) == ([lines[15].rstrip("\n")], [(1, 7)])


def test_the_check_sees_a_cut_within_the_text(tmp_path: Path, lines: list[str]) -> None:
    lines[15] = lines[15].replace("...", "..", 1)
    assert check(written(tmp_path, lines), [20, 20]).missing == [(1, 7)]


def test_the_check_sees_a_line_without_an_end(tmp_path: Path, lines: list[str]) -> None:
    findings = check(written(tmp_path, [*lines, lines[0][:20]]), [20, 20])
    assert findings == Findings(torn=["worker.log ends within a line"])


def test_the_check_sees_lines_out_of_order(tmp_path: Path, lines: list[str]) -> None:
    lines[14], lines[16] = lines[16], lines[14]
    assert check(written(tmp_path, lines), [20, 20]) == Findings(disordered=[(0, 7)])


def test_the_check_sees_a_line_that_was_never_logged(tmp_path: Path, lines: list[str]) -> None:
    assert check(written(tmp_path, lines), [20, 18]) == Findings(invented=[(1, 19)])


def test_the_check_sees_lines_that_lastwords_counted_as_lost(tmp_path: Path, lines: list[str]) -> None:
    notice = "2026-11-24 18:17:33.471 [4157] [WARNING] lastwords: 3 records lost"
    assert check(written(tmp_path, [*lines, notice + "\n"]), [20, 20]) == Findings(torn=[notice])
