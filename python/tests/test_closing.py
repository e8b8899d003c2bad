"""Handlers that are closed give back descriptors, ring and thread, and a later record opens them again."""

from __future__ import annotations

import pytest
from conftest import Logs

HELD = """
import contextlib, gc, glob, logging, logging.config, os, re, sys, threading, time

def held(folder):
    links = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    with open("/proc/self/maps") as file:
        maps = file.read().splitlines()
    return [what for what in links + maps if str(folder) in what]

def threads():
    # The kernel takes a moment to forget one that was joined.
    time.sleep(0.1)
    names = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/comm") as file:
            names.append(file.read().strip())
    return sorted(name for name in names if name.startswith("lastwords"))

def rings(folder):
    return glob.glob(f"{folder}/rings/*-*")
"""
SETUP = (
    HELD
    + """
import lastwords
log = lastwords.setup_logger("worker", LOGS)
log.info("before")
"""
)


@pytest.mark.parametrize(
    "close",
    [
        "[handler.close() for handler in list(log.handlers)]",
        "logging.shutdown()",
        'logging.config.dictConfig({"version": 1})',
        'lastwords.setup_logger("worker", dev_mode=True); [handler.close() for handler in log.handlers]',
    ],
)
def test_closing_gives_back_descriptors_ring_and_thread(logs: Logs, close: str) -> None:
    logs.run(f"""{SETUP}
assert held(LOGS) and threads() == ["lastwords", "lastwords-con"], threads()
{close}
assert not held(LOGS), held(LOGS)
assert not threads(), threads()
assert not rings(LOGS)
assert "before" in open(f"{{LOGS}}/worker.log").read()
""")
    assert logs.messages() == ["before"]


def test_a_record_that_comes_later_opens_the_ring_again(logs: Logs) -> None:
    # Django and others call dictConfig after the program has set up its logger, and that closes all handlers there are.
    logs.run(
        f"""{SETUP}
folder = log.handlers[0].folder
os.environ["LASTWORDS_DIR"] = "/nonexistent"
logging.config.dictConfig({{"version": 1, "disable_existing_loggers": False}})
assert log.handlers[0].folder == folder
log.info("short way")
logging.getLogger("worker.child").warning("from a child", extra={{"n": 1}})
log.handlers[0].close()
log.warning("standard way", extra={{"n": 1}})
log.handlers[0].close()
log.debug("nobody wants this")
assert not held(LOGS)
raise SystemError("on purpose")
""",
        status=1,
    )
    said = logs.messages()
    assert said[:4] == ["before", "short way", "from a child n=1", "standard way n=1"]
    assert said[4].startswith("uncaught exception")


def test_113_folders_one_after_the_other_and_again(logs: Logs) -> None:
    logs.run(f"""{HELD}
import resource, lastwords
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
for round in range(2):
    for n in range(113):
        log = lastwords.setup_logger(f"job-{{n}}", f"{{LOGS}}/{{n}}", rotate_keep=round + 1)
        log.info("round %d", round)
        for handler in list(log.handlers):
            handler.close()
            log.removeHandler(handler)
assert not held(LOGS) and not threads()
for n in range(113):
    assert [line.split()[-1] for line in open(f"{{LOGS}}/{{n}}/job-{{n}}.log")] == ["0", "1"]
""")


def test_a_setup_for_another_folder_gives_the_first_one_back(logs: Logs) -> None:
    logs.run(f"""{SETUP}
lastwords.setup_logger("worker", f"{{LOGS}}/other")
log.info("after")
assert not [what for what in held(LOGS) if "/other" not in what], held(LOGS)
""")
    assert logs.messages() == ["before"]


def test_two_handlers_of_one_ring_and_one_that_nobody_closes(logs: Logs) -> None:
    logs.run(f"""{SETUP}
second = lastwords.RingHandler("worker", LOGS)
logging.getLogger("other").addHandler(second)
forgotten = lastwords.RingHandler("worker", LOGS)
del forgotten
gc.collect()
log.handlers[0].close()
assert held(LOGS)
logging.getLogger("other").warning("by the second")
second.close()
assert not held(LOGS) and not rings(LOGS)
log.info("by the first")
""")
    assert logs.messages() == ["before", "by the second", "by the first"]


def test_threads_that_log_while_a_handler_is_closed_lose_nothing(logs: Logs) -> None:
    logs.run(
        f"""{SETUP}
stop = False
def work(number):
    n = 0
    while not stop:
        log.info("thread %d line %d", number, n)
        n += 1
    counts[number] = n
counts = {{}}
workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
[worker.start() for worker in workers]
for _ in range(20):
    log.handlers[0].close()
stop = True
[worker.join() for worker in workers]
log.handlers[0].close()
text = open(f"{{LOGS}}/worker.log").read()
for number in range(4):
    found = [int(n) for n in re.findall(f"thread {{number}} line ([0-9]+)", text)]
    assert len(set(found)) == len(found), "doubled"
    assert set(range(counts[number])) - set(found) == set(), (number, counts[number], len(found))
""".replace("LOGS)", "LOGS, console=False, rotate_size=1 << 30)", 1)
    )


@pytest.mark.parametrize("logged", [True, False])
def test_a_forked_child_closes_its_own(logs: Logs, logged: bool) -> None:
    logs.run(f"""{SETUP}
pid = os.fork()
if pid == 0:
    if {logged}:
        log.info("in the child")
    for handler in log.handlers:
        handler.close()
    assert not [what for what in held(LOGS) if "log" not in what], held(LOGS)
    log.info("again in the child")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
log.info("in the parent")
""")
    expected = ["before", "in the child", "again in the child", "in the parent"]
    assert logs.messages() == [text for text in expected if logged or text != "in the child"]


def test_a_crash_after_everything_was_closed_is_no_matter_of_ours_and_one_after_a_reopening_is(logs: Logs) -> None:
    logs.run(SETUP + "import faulthandler\nlog.handlers[0].close()\nassert not faulthandler.is_enabled()\nos.abort()", status=-6)
    assert logs.messages() == ["before"] and not logs.crash_files()
    logs.run(SETUP + "log.handlers[0].close()\nlog.info('again')\nos.abort()", status=-6)
    logs.drain()
    assert "Fatal Python error: Aborted" in logs.crash_files()[0]


def test_a_crash_at_the_end_after_logging_has_closed_its_handlers_is_told(logs: Logs) -> None:
    # Modules are taken down, and libraries with them, when atexit has run.
    logs.run(
        SETUP
        + """
class Late:
    def __del__(self):
        log.info("late")
        os.abort()
sys.modules["late"] = Late()
import atexit
""",
        status=-6,
    )
    logs.drain()
    assert logs.messages()[:2] == ["before", "late"] and len(logs.crash_files()) == 1


def test_somebody_elses_faulthandler_is_left_alone_whenever_it_was_enabled(logs: Logs) -> None:
    logs.run(
        SETUP
        + f"""
import faulthandler
mine = open({str(logs.folder / "mine.txt")!r}, "wb", buffering=0)
faulthandler.enable(mine)
second = lastwords.setup_logger("second", LOGS)
second.info("text")
pid = os.fork()
if pid == 0:
    second.info("in the child")
    second.handlers[0].close()
    os.abort()
os.waitpid(pid, 0)
assert faulthandler.is_enabled()
"""
    )
    assert "Fatal Python error: Aborted" in (logs.folder / "mine.txt").read_text()


def test_a_ring_that_is_opened_again_has_the_loggers_level_and_what_levels_are_called(logs: Logs) -> None:
    said = logs.run(
        SETUP
        + """
logging.addLevelName(25, "NOTICE")
log.log(25, "named")
log.setLevel("DEBUG")
log.handlers[0].close()
log.log(25, "named again")
log.debug("fine")
log.handlers[0].flush()
os.system(f"{sys.executable} -m lastwords status {LOGS}")
"""
    )
    assert logs.lines() == [("INFO", "before"), ("NOTICE", "named"), ("NOTICE", "named again"), ("DEBUG", "fine")]
    assert " debug " in said


def test_a_ring_that_somebody_else_has_opened_with_other_settings_serves_a_handler_that_was_closed(logs: Logs) -> None:
    logs.run(
        HELD
        + """
import lastwords
first, second = logging.getLogger("first"), logging.getLogger("second")
first.addHandler(lastwords.RingHandler("worker", LOGS, rotate_keep=1))
first.handlers[0].close()
second.addHandler(lastwords.RingHandler("worker", LOGS, rotate_keep=2))
second.warning("by the second")
first.warning("by the first")
"""
    )
    assert logs.messages() == ["by the second", "by the first"]
