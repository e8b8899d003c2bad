"""How many acknowledged lines are lost when a process is killed by SIGKILL while it logs flat out.

A process logs numbered lines and, when a call has returned, stores in a page that it shares how many did: those are
acknowledged. It is killed at a random moment. Then every acknowledged line is looked for in the log file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import mmap
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from loggers import Lines, Peer, chosen, peer

#: So large that nothing is rotated away.
ROTATE_SIZE = 1 << 30
#: Shortest and longest time between the first line and the kill, in seconds.
KILL_AFTER = (0.05, 0.3)
#: After so many seconds something is stuck.
STUCK = 60
#: Numbers in the shared page.
ACKNOWLEDGED, RUNNING = 0, 1

EXAMPLES = """examples:
  python sigkill.py --quick                          3 kills of each logger, to see that it works
  python sigkill.py --json sigkill.json              20 kills of each, a few minutes
  python sigkill.py --kills 50 --only lastwords      one logger"""


@dataclass
class Kill:
    """What a kill left."""

    pid: int
    after_ms: float
    acknowledged: int
    #: Acknowledged lines that are in no file.
    lost: int
    #: Lines in a file that are not whole.
    torn: int
    #: Lines that are in the file more than once.
    doubled: int


@dataclass
class Row:
    """All kills of a logger."""

    kills: list[Kill] = field(default_factory=list)

    def of(self, name: str) -> list[int]:
        """One figure of every kill."""
        return [getattr(kill, name) for kill in self.kills]


def log_until_killed(name: str, folder: Path) -> None:
    """What the process does that is killed: logs, and acknowledges every line."""
    page = mmap.mmap(os.open(folder / "acknowledged", os.O_RDWR), mmap.PAGESIZE)
    cells = memoryview(page).cast("Q")
    started = peer(name).start(folder, ROTATE_SIZE)
    log, template = started.log, started.template
    cells[RUNNING] = 1
    if started.caller_formats:
        for number in itertools.count():
            log.info(template % (number, 16.667, "cuda:0"))
            cells[ACKNOWLEDGED] = number + 1
    else:
        for number in itertools.count():
            log.info(template, number, 16.667, "cuda:0")
            cells[ACKNOWLEDGED] = number + 1


def kill_once(killed: Peer, after: float) -> Kill:
    """Starts a process, kills it, and counts what is in its files."""
    with tempfile.TemporaryDirectory(prefix="sigkill-") as temporary:
        folder = Path(temporary)
        acknowledged = folder / "acknowledged"
        acknowledged.write_bytes(bytes(mmap.PAGESIZE))
        with acknowledged.open("r+b") as file, memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast("Q") as cells:
            pid = _run_and_kill(killed.name, folder, cells, after)
            count = cells[ACKNOWLEDGED]
        if killed.needs == "lastwords":
            _drain(folder)
        return _compare(Lines.of(folder, pid), count, Kill(pid, after * 1000, count, 0, 0, 0))


def _run_and_kill(name: str, folder: Path, cells: memoryview, after: float) -> int:
    command = [sys.executable, os.path.abspath(__file__), "--one", name, "--folder", str(folder)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LASTWORDS_")}
    with (folder / "output").open("w+b") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=kept)
        try:
            end = time.monotonic() + STUCK
            while not cells[RUNNING] and process.poll() is None and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(after)
            alive = process.poll() is None and cells[RUNNING]
        finally:
            process.kill()
            process.wait()
        if not alive:
            output.seek(0)
            raise SystemExit(f"{name} did not log until it was killed\n{output.read().decode(errors='replace')}")
    return process.pid


def _drain(folder: Path) -> None:
    """Has what the dead process left written to its file, as the next process that logs there would."""
    command = [sys.executable, "-m", "lastwords", "flush", "--once", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=STUCK, cwd=folder)
    # 1 is: there was nothing to drain.
    if done.returncode not in (0, 1):
        raise SystemExit(f"lastwords flush ended with {done.returncode}\n{done.stdout}{done.stderr}")


def _compare(lines: Lines, acknowledged: int, kill: Kill) -> Kill:
    found = Counter(lines.numbers)
    kill.lost = sum(number not in found for number in range(acknowledged))
    kill.doubled = sum(count > 1 for count in found.values())
    kill.torn = len(lines.torn)
    # The line that was in flight may be there; more than that would mean that the acknowledgements are wrong.
    ahead = [number for number in found if number > acknowledged]
    if ahead:
        raise SystemExit(f"{len(ahead)} lines are in the file that were never logged, such as {ahead[0]}")
    return kill


def run(peers: list[Peer], kills: int, seed: int) -> dict[str, Row]:
    """Kills all loggers in turns, one process at a time."""
    moments = random.Random(seed)
    rows = {peer.name: Row() for peer in peers}
    for number in range(kills):
        print(f"kill {number + 1} of {kills} of each", file=sys.stderr)
        for killed in peers:
            rows[killed.name].kills.append(kill_once(killed, moments.uniform(*KILL_AFTER)))
    return rows


def print_table(rows: dict[str, Row]) -> None:
    """Prints the figures."""
    heads = ["acknowledged", "lost, median", "lost, worst", "kills losing", "torn", "doubled"]
    print(f"{'':30}" + "".join(f"{head:>14}" for head in heads))
    for name, row in rows.items():
        lost = row.of("lost")
        cells = [statistics.median(row.of("acknowledged")), statistics.median(lost), max(lost), sum(count > 0 for count in lost)]
        cells += [sum(row.of("torn")), sum(row.of("doubled"))]
        print(f"{name:30}" + "".join(f"{cell:>14,.0f}" for cell in cells))


def print_notes(rows: dict[str, Row], kills: int, seed: int) -> None:
    """Prints what the figures are, and what they leave out."""
    low, high = (int(seconds * 1000) for seconds in KILL_AFTER)
    print(f"""
{kills} kills of each, {low} to {high} ms after the first line (seed {seed}; the moments are the same again, what is hit is not).
acknowledged: lines whose call had returned, median of the kills. lost: of these, those that are in no file. kills losing: how
  many kills lost any. torn: lines in the file that are not whole, doubled: lines that are there more than once, of all kills.
For lastwords the file is read after `python -m lastwords flush --once`, which is what the next process that logs there does by
  itself; for all others right after the death. The page cache survives a killed process: a power loss is another matter.
An asynchronous logger has as much to lose as waits in its queue; flat out that is more than at an ordinary pace.""")
    for killed in (peer(name) for name in rows):
        print(f"  {killed.name}: {killed.measures}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 kills of each logger, to see that it works")
    parser.add_argument("--kills", type=int, default=20, help="kills of each logger (default 20)")
    parser.add_argument("--seed", type=int, help="seed of the moments (default: another one each time; it is printed)")
    parser.add_argument("--only", nargs="+", metavar="LOGGER", help="only these loggers, by their names in the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every kill to this file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.kills = 3 if options.quick else options.kills
    if options.kills < 1:
        parser.error("there is at least 1 kill")
    return options


def main() -> None:
    """Runs the bench, or the process that is killed."""
    options = arguments()
    if options.one:
        log_until_killed(options.one, options.folder)
        return
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    rows = run(chosen(options.only), options.kills, seed)
    print_table(rows)
    print_notes(rows, options.kills, seed)
    if options.json:
        raw = {name: [asdict(kill) for kill in row.kills] for name, row in rows.items()}
        options.json.write_text(json.dumps({"seed": seed, "kills": raw}, indent=1) + "\n")


if __name__ == "__main__":
    main()
