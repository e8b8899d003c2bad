"""Nanoseconds that a log call takes, and lines a second to the last line in the file, of lastwords and other loggers.

Each logger runs in a process of its own, in turns over several rounds, so that noise hits all alike. A process logs bursts of
calls, with pauses in which queues drain; then many lines without a pause, timed until the last one is in the file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loggers import PERCENT, PLAIN, ROTATE_SIZE, Lines, Peer, Started, chosen, ends_with, peer

#: Calls of a burst.
BURST = 2_000
#: Name of the row that has no logger.
BARE = "bare % formatting"
#: Longest wait between two bursts for the lines of a logger that may keep some back, in seconds.
PATIENCE = 0.2
#: After so many seconds something is stuck.
STUCK = 60
#: Longest time of one process, in seconds.
PROCESS_MAX = 300

EXAMPLES = """examples:
  python per_call.py --quick                                  see that it works; its figures are worth nothing
  python per_call.py --json per_call.json                     the whole run, several minutes
  python per_call.py --only lastwords "logging FileHandler"   two rows"""

Burst = Callable[[Started, int, int], None]


def with_arguments(started: Started, first: int, count: int) -> None:
    """The call that is measured, where the logger formats."""
    log, template = started.log, started.template
    for number in range(first, first + count):
        log.info(template, number, 16.667, "cuda:0")


def formatted_by_caller(started: Started, first: int, count: int) -> None:
    """The measured call, formatted by the caller."""
    log, template = started.log, started.template
    for number in range(first, first + count):
        log.info(template % (number, 16.667, "cuda:0"))


def without_arguments(started: Started, _first: int, count: int) -> None:
    """A call whose message is complete."""
    log = started.log
    for _ in range(count):
        log.info(PLAIN)


def disabled(started: Started, first: int, count: int) -> None:
    """A call of a level that is not written."""
    log, template = started.log, started.template
    for number in range(first, first + count):
        log.debug(template, number, 16.667, "cuda:0")


def disabled_formatted_by_caller(started: Started, first: int, count: int) -> None:
    """A disabled call whose message the caller formats all the same."""
    log, template = started.log, started.template
    for number in range(first, first + count):
        log.debug(template % (number, 16.667, "cuda:0"))


def bare(_started: object, first: int, count: int) -> None:
    """What formatting the message takes, and the loop."""
    template = PERCENT
    for number in range(first, first + count):
        template % (number, 16.667, "cuda:0")


@dataclass
class Samples:
    """What one or more processes measured of a logger."""

    #: Nanoseconds a call, one number a burst.
    arguments: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    disabled: list[float] = field(default_factory=list)
    #: Lines a second of the run without a pause, to the last line in the file, one number a process.
    lines_per_second: list[float] = field(default_factory=list)
    #: Lines of that run that are in no file although the logger was closed.
    missing: int = 0
    doubled: int = 0

    def add(self, other: dict[str, Any]) -> None:
        """Adds what a process measured."""
        for name, value in other.items():
            setattr(self, name, getattr(self, name) + value)


class Process:
    """Measures one logger in this process."""

    def __init__(self, measured: Peer, folder: Path) -> None:
        self.peer = measured
        self.folder = folder
        self.started = measured.start(folder, ROTATE_SIZE)
        self.next = 0
        by_caller = self.started.caller_formats
        self.numbered: Burst = formatted_by_caller if by_caller else with_arguments
        self.disabled: Burst = disabled_formatted_by_caller if by_caller else disabled

    def run(self, bursts: int, sustained: int) -> Samples:
        """Measures everything, after a burst that warms up."""
        samples = Samples()
        self._burst(self.numbered)
        for _ in range(bursts):
            samples.arguments.append(self._burst(self.numbered))
            samples.plain.append(self._burst(without_arguments))
            samples.disabled.append(self._burst(self.disabled))
        self._run_sustained(sustained, samples)
        return samples

    def _burst(self, burst: Burst) -> float:
        start = time.perf_counter_ns()
        burst(self.started, self.next, BURST)
        took = time.perf_counter_ns() - start
        self.next += BURST
        self._settle()
        return took / BURST

    def _settle(self) -> None:
        """Waits until the queue is empty: a line logged after all others is in the file."""
        self.numbered(self.started, self.next, 1)
        self.next += 1
        self.started.push()
        self._wait_for(self.next - 1, PATIENCE if self.peer.keeps_back else STUCK, not self.peer.keeps_back)
        time.sleep(0.002)

    def _wait_for(self, number: int, seconds: float, must: bool) -> None:
        end = time.monotonic() + seconds
        while not ends_with(self.folder, number):
            if time.monotonic() > end:
                if must:
                    raise TimeoutError(f"{self.peer.name}: line {number} did not come into the file in {seconds} s")
                return
            time.sleep(0.0005)

    def _run_sustained(self, count: int, samples: Samples) -> None:
        first = self.next
        start = time.perf_counter()
        self.numbered(self.started, first, count)
        self.started.close()
        # A logger may say that it is done before it is.
        self._wait_for(first + count - 1, STUCK, True)
        samples.lines_per_second.append(count / (time.perf_counter() - start))
        self._check(range(first, first + count), samples)

    def _check(self, expected: range, samples: Samples) -> None:
        lines = Lines.of(self.folder, os.getpid())
        if lines.torn:
            raise ValueError(f"{self.peer.name}: {len(lines.torn)} lines do not hold what they should, such as {lines.torn[0]!r}")
        found = Counter(lines.numbers)
        samples.missing = sum(number not in found for number in expected)
        samples.doubled = sum(found[number] > 1 for number in expected)


def measure_bare(bursts: int) -> Samples:
    """Measures what formatting takes without a logger."""
    samples = Samples()
    for burst in range(bursts + 1):
        start = time.perf_counter_ns()
        bare(None, burst * BURST, BURST)
        samples.arguments.append((time.perf_counter_ns() - start) / BURST)
        time.sleep(0.002)
    del samples.arguments[0]
    return samples


def in_this_process(name: str, folder: Path, bursts: int, sustained: int) -> None:
    """What a started process does: measures, and prints what it found."""
    samples = measure_bare(bursts) if name == BARE else Process(peer(name), folder).run(bursts, sustained)
    print(json.dumps(asdict(samples)), flush=True)


def in_own_process(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Starts a process that measures this logger, and returns what it found."""
    sizes = ["--bursts", str(options.bursts), "--sustained", str(options.sustained)]
    with tempfile.TemporaryDirectory(prefix="per_call-") as folder:
        command = [sys.executable, os.path.abspath(__file__), "--one", name, "--folder", folder, *sizes]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LASTWORDS_")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_MAX, cwd=folder, env=kept)
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run_rounds(options: argparse.Namespace) -> dict[str, Samples]:
    """Runs all loggers in turns. Each round begins with another one."""
    names = [peer.name for peer in chosen(options.only)] + [BARE]
    samples = {name: Samples() for name in names}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        shift = number * len(names) // options.rounds
        for name in names[shift:] + names[:shift]:
            samples[name].add(in_own_process(name, options))
    return samples


def percentile(values: list[float], percent: float) -> float:
    """The smallest of the values that so many percent do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def summary(samples: Samples, ours: Samples | None) -> dict[str, Any]:
    """The figures of a row."""
    times = samples.arguments
    figures: dict[str, Any] = {
        "median_ns": statistics.median(times),
        "p99_ns": percentile(times, 99),
        "min_ns": min(times),
        "to_lastwords": statistics.median(times) / statistics.median(ours.arguments) if ours else None,
        "without_arguments_ns": statistics.median(samples.plain) if samples.plain else None,
        "disabled_ns": statistics.median(samples.disabled) if samples.disabled else None,
        "lines_per_second": statistics.median(samples.lines_per_second) if samples.lines_per_second else None,
    }
    return {**figures, "missing": samples.missing, "doubled": samples.doubled}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    packages = ["lastwords", "loguru", "picologging", "structlog", "Logbook", "fastlogging", "nexuslog", "logust"]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "packages": {name: found for name in packages if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def number(value: float | None, form: str = ",.0f") -> str:
    """A number of the table."""
    return "-" if value is None else format(value, form)


def print_table(rows: dict[str, dict[str, Any]]) -> None:
    """Prints the figures."""
    heads = ["median", "p99", "min", "x lastw.", "no args", "disabled", "lines/s", "missing", "doubled"]
    print(f"{'ns a call':30}" + "".join(f"{head:>10}" for head in heads))
    for name, row in rows.items():
        cells = [number(row["median_ns"]), number(row["p99_ns"]), number(row["min_ns"]), number(row["to_lastwords"], ".2f")]
        cells += [number(row["without_arguments_ns"]), number(row["disabled_ns"]), number(row["lines_per_second"])]
        cells += [number(row["missing"]), number(row["doubled"])] if row["lines_per_second"] else ["-", "-"]
        print(f"{name:30}" + "".join(f"{cell:>10}" for cell in cells))


def print_notes(names: list[str], options: argparse.Namespace) -> None:
    """Prints what the figures are, and what they leave out."""
    print(f"""
median, p99, min: of {options.rounds * options.bursts} bursts of {BURST:,} calls, from {options.rounds} processes.
  The time of a burst by its calls, the loop included; the call is info("frame %d took %.3f ms on %s", i, 16.667, "cuda:0").
  Before each burst everything logged before is in the file, but for lines that fastlogging and nexuslog keep back.
  p99 is that of bursts: single slow calls vanish in it.
x lastw.: the median by that of lastwords. no args: info("frame took 16.667 ms on cuda:0"). disabled: debug(...) at level INFO.
lines/s: {options.sustained:,} calls without a pause, then the logger is closed; timed until the last line is in the file, that
  is in the page cache, not on the disk. Median of {options.rounds}. missing, doubled: lines of these runs, of all processes.
Every line holds time, pid, level and message; that is checked. Each row:""")
    measures = {peer.name: peer.measures for peer in chosen(names)}
    for name in names:
        print(f"  {name}: {measures[name]}")
    print(f"  {BARE}: no logger, no line; the floor of every row")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 5 bursts and 20,000 lines, to see that it works")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each logger (default 5)")
    parser.add_argument("--bursts", type=int, default=40, help="bursts of each kind a process (default 40)")
    parser.add_argument("--sustained", type=int, default=200_000, help="calls of the run without a pause (default 200000)")
    parser.add_argument("--only", nargs="+", metavar="LOGGER", help="only these rows, by their names in the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures, and every sample, to this file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.bursts, options.sustained = 2, 5, 20_000
    if min(options.rounds, options.bursts, options.sustained) < 1:
        parser.error("rounds, bursts and lines are at least 1")
    return options


def main() -> None:
    """Runs the bench, or one process of it."""
    options = arguments()
    if options.one:
        in_this_process(options.one, options.folder, options.bursts, options.sustained)
        return
    about = machine()
    samples = run_rounds(options)
    rows = {name: summary(found, samples.get("lastwords")) for name, found in samples.items()}
    print("{cpu}, {cores} cores, Linux {kernel}, Python {python}, load {load_before:.2f} before".format(**about))
    print(", ".join(f"{name} {found}" for name, found in about["packages"].items()), end="\n\n")
    print_table(rows)
    print_notes([name for name in rows if name != BARE], options)
    if options.json:
        raw = {name: asdict(found) for name, found in samples.items()}
        options.json.write_text(json.dumps({"machine": about, "rows": rows, "samples": raw}, indent=1) + "\n")


if __name__ == "__main__":
    main()
