"""Processes of ``multiprocessing`` and ``concurrent.futures`` that log to one file, and one of them that is killed.

python pool.py --method fork|spawn|forkserver
"""

import argparse
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import lastwords

FOLDER = Path(os.environ.get("LASTWORDS_DIR") or Path(tempfile.gettempdir(), "lastwords-examples"))
#: How each process of a pool sets its logger up, whatever the start method.
SETUP = {"initializer": lastwords.setup_logger, "initargs": ("pool", FOLDER)}
#: The death line has this long to appear. It usually takes less than a second.
DEATH_LINE_SECONDS_MAX = 20

log = logging.getLogger("pool")


def square(number: int) -> int:
    """Work that succeeds."""
    log.info("squaring %d", number)
    return number * number


def die(last_words: str) -> None:
    """Work that ends the process, as the kernel does where memory runs out."""
    log.info(last_words)
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_death_line(pid: int) -> None:
    """Waits until the log says that this process died."""
    path, text = FOLDER / "pool.log", f"without closing its log (pid {pid},"
    deadline = time.monotonic() + DEATH_LINE_SECONDS_MAX
    while not (path.exists() and text in path.read_text()):
        if time.monotonic() > deadline:
            sys.exit(f"{path}: no death line of {pid} in {DEATH_LINE_SECONDS_MAX} s")
        time.sleep(0.05)


def main() -> None:
    """Has a pool and an executor work, and kills a process of the executor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=("fork", "spawn", "forkserver"), default="spawn", help="how processes start")
    context = multiprocessing.get_context(parser.parse_args().method)
    host = lastwords.setup_logger("host", FOLDER)

    with context.Pool(2, **SETUP) as pool:
        host.info("the pool's squares: %s", pool.map(square, range(10)))
    with ProcessPoolExecutor(1, mp_context=context, **SETUP) as executor:
        pid = executor.submit(os.getpid).result()
        host.info("the executor's squares: %s", list(executor.map(square, range(10, 20))))
        try:
            executor.submit(die, "this is the end").result()
        except BrokenProcessPool:
            host.exception("the executor is broken")
    wait_for_death_line(pid)
    print(f"see {FOLDER}/host.log and {FOLDER}/pool.log")


if __name__ == "__main__":
    main()
