"""A worker that answers its host's requests, a line each, until one says how to die.

There is nothing to set up: role, folder and levels are in the environment that the host has given to it.
"""

import ctypes
import itertools
import os
import signal
import sys
import threading
import time

from shared import log, square


def heartbeat() -> None:
    """Says every 10 ms that the process is alive. That is DEBUG, so only the crash file shows it."""
    for beat in itertools.count():
        log.debug("beat %d", beat)
        time.sleep(0.01)


def die(death: str) -> None:
    """Ends this process in one of the ways in which processes end."""
    if death == "null":
        ctypes.memset(0, 0, 1)  # What a native library does that writes through a null pointer.
    elif death == "abort":
        os.abort()
    elif death == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif death == "raise":
        raise RuntimeError("asked to raise")
    sys.exit()


def main() -> None:
    """Answers each line of standard input with one of standard output."""
    threading.Thread(target=heartbeat, name="heartbeat", daemon=True).start()
    for line in sys.stdin:
        request, argument = line.split()
        log.info("asked to %s %s", request, argument)
        if request == "die":
            die(argument)
        print(square(int(argument)), flush=True)


if __name__ == "__main__":
    main()
