"""Logs flat out until it is killed, and acknowledges every line: run by ``test_sigkill.py`` as a process of its own.

Arguments are the log folder, the file of the acknowledgements, and a plan as JSON. Writer ``n`` stores in the nth number of the
file how many of its calls have returned; one more number says that the process logs.
"""

from __future__ import annotations

import itertools
import json
import logging
import mmap
import multiprocessing
import os
import signal
import sys
import threading
from typing import Any

#: Where the number of the process's lines is that says that it logs.
RUNNING = 63
#: Ends a process that is not killed, after so many seconds.
FORGOTTEN = 60
MESSAGE = "writer %d line %d %s end"


def dots(number: int) -> str:
    """Text of many lengths, so that lines take one slot of the ring or several."""
    return "." * (number * 37 % 211)


def write(log: logging.Logger, cells: memoryview, writer: int) -> None:
    """Logs one writer's lines."""
    signal.alarm(FORGOTTEN) if threading.current_thread() is threading.main_thread() else None
    for number in itertools.count():
        log.info(MESSAGE, writer, number, dots(number))
        cells[writer] = number + 1


def main(folder: str, acknowledged: str, plan: dict[str, Any]) -> None:
    """Starts the writers of the plan."""
    import lastwords

    cells = memoryview(mmap.mmap(os.open(acknowledged, os.O_RDWR), mmap.PAGESIZE)).cast("Q")
    log = lastwords.setup_logger("worker", folder, console=False, **plan["settings"])
    if plan["log_records"]:
        # With a filter, every call makes a LogRecord.
        log.addFilter(lambda record: True)
    fork = multiprocessing.get_context("fork")
    for writer in range(1, 1 + plan["processes"]):
        fork.Process(target=write, args=(log, cells, writer)).start()
    for writer in range(1, plan["threads"]):
        threading.Thread(target=write, args=(log, cells, writer), daemon=True).start()
    cells[RUNNING] = 1
    write(log, cells, 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
