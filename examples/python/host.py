"""A host whose worker dies, and what the worker had to say all the same.

python host.py --death null|abort|kill|raise|exit
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lastwords
from shared import square

FOLDER = Path(os.environ.get("LASTWORDS_DIR") or Path(tempfile.gettempdir(), "lastwords-examples"))
DEATHS = ("null", "abort", "kill", "raise", "exit")
#: The death line has this long to appear. It usually takes less than a second.
DEATH_LINE_SECONDS_MAX = 20

log = lastwords.setup_logger("host", log_dir=FOLDER, format="both")


def start_worker() -> subprocess.Popen[str]:
    """Starts the worker. All that it needs for logging is in its environment."""
    environment = {
        "LASTWORDS_ROLE": "worker",
        "LASTWORDS_DIR": str(FOLDER),
        "LASTWORDS_FORMAT": "both",
        "LASTWORDS_RING_LEVEL": "debug",  # What is finer than INFO stays in memory, for the crash file.
    }
    command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
    worker = subprocess.Popen(command, env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    log.info("worker %d started", worker.pid)
    return worker


def ask(worker: subprocess.Popen[str], request: str) -> str:
    """Sends a request and returns the answer, which is empty if the worker died instead."""
    log.info("request: %s", request)
    print(request, file=worker.stdin, flush=True)
    answer = worker.stdout.readline().strip()
    log.info("answer: %s", answer or "none")
    return answer


def wait_for_death_line(pid: int) -> None:
    """Waits until the log says how the worker died. The flusher writes that, here a thread of the host."""
    path, text = FOLDER / "worker.log", f"without closing its log (pid {pid},"
    deadline = time.monotonic() + DEATH_LINE_SECONDS_MAX
    while not (path.exists() and text in path.read_text()):
        if time.monotonic() > deadline:
            sys.exit(f"{path}: no death line of {pid} in {DEATH_LINE_SECONDS_MAX} s")
        time.sleep(0.05)


def main() -> None:
    """Gives a worker some work, has it die, and says where to read about that."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--death", choices=DEATHS, default="null", help="how the worker dies")
    death = parser.parse_args().death

    with start_worker() as worker:
        for number in (3, 4, -5):
            if ask(worker, f"square {number}") != str(square(number)):
                log.error("the worker cannot square")
        ask(worker, f"die {death}")
    if worker.returncode < 0:
        log.error("worker %d was killed by %s", worker.pid, signal.Signals(-worker.returncode).name)
        wait_for_death_line(worker.pid)
    else:
        log.info("worker %d ended with status %d", worker.pid, worker.returncode)

    print("host log:  ", FOLDER / "host.log")
    print("worker log:", FOLDER / "worker.log")
    for path in FOLDER.glob(f"worker-{worker.pid}-*.crash.log"):
        print("crash file:", path)
    print("both logs: ", f"sort {FOLDER}/host.jsonl {FOLDER}/worker.jsonl")


if __name__ == "__main__":
    main()
