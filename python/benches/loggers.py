"""The loggers that the benches compare: how each is set up to write the same lines, and how its end is waited for.

Every line holds time, pid, level and message. Where a logger cannot show the pid, it stands in the message.
"""

from __future__ import annotations

import importlib.util
import logging
import logging.handlers
import os
import queue
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Default size at which log files are rotated, and how many are kept: lastwords' own defaults.
ROTATE_SIZE = 10 << 20
ROTATE_KEEP = 5
#: Records that picologging's MemoryHandler keeps back.
MEMORY_RECORDS = 1000

PERCENT = "frame %d took %.3f ms on %s"
BRACES = "frame {:d} took {:.3f} ms on {}"
PLAIN = "frame took 16.667 ms on cuda:0"
FORMAT = "%(asctime)s.%(msecs)03d [%(process)d] [%(levelname)s] %(message)s"
#: picologging knows no milliseconds but those of its default time, which are garbage in 0.9.3.
FORMAT_SECONDS = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
TIME = "%Y-%m-%d %H:%M:%S"

#: Lastwords' own lines in the log of a process that was killed. Any other line of its own is taken as torn.
_NOTICE = re.compile(
    rb"[-\d]{10} [:.\d]{12} \[\d+\] "
    rb"(?:\[CRITICAL\] lastwords: the process (?:died|was killed by SIGKILL) without closing its log \(|"
    rb"\[WARNING\] lastwords: the records that follow were left by an earlier run of ).*\n"
)

_WRITES = "call formats and writes (one write(2) a line)"
_QUEUES = "call puts a record into a queue; leaves out the thread that writes, but for the GIL it takes"


def _nothing() -> None:
    pass


@dataclass
class Started:
    """A logger that runs."""

    log: Any
    template: str = PERCENT
    #: The logger takes no arguments, so the caller formats.
    caller_formats: bool = False
    #: Has lines that are kept back written, where there is a way but the end.
    push: Callable[[], object] = _nothing
    #: Ends the logger; waits for its queue.
    close: Callable[[], object] = _nothing


@dataclass(frozen=True)
class Peer:
    """A logger that can be started, by a folder and the size at which files are rotated."""

    name: str
    start: Callable[[Path, int], Started]
    #: What a call does and leaves out.
    measures: str
    #: The module that it needs.
    needs: str = "logging"
    #: Lines can be kept back with no way to have them written but the end.
    keeps_back: bool = False

    def is_installed(self) -> bool:
        """Whether the module that it needs is there."""
        return importlib.util.find_spec(self.needs) is not None


def log_files(folder: Path) -> list[Path]:
    """The log files of a folder, the oldest first."""
    files = [path for path in folder.iterdir() if re.fullmatch(r"bench(_\d+)?\.log(\.\d+)?", path.name)]
    return sorted(files, key=lambda path: -int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0)


@dataclass
class Lines:
    """What is in the log files of a process: the numbers of the whole lines, and those that are not whole."""

    numbers: list[int] = field(default_factory=list)
    torn: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, pid: int) -> Lines:
        """Reads the log files of a folder."""
        # A line truncated at its start has no time, one truncated at its end no newline.
        whole = re.compile(
            rb"(?:time=)?(?:20)?\d\d[-.]\d\d[-.]\d\d[ T]\d\d:\d\d:\d\d(?=.*\b%d\b)(?=.*\b(?i:info)\b).*?"
            rb"\bframe (\d+) took 16\.667 ms on cuda:0\"?\n" % pid
        )
        found = cls()
        for line in _lines(folder):
            match = whole.fullmatch(line)
            if match:
                found.numbers.append(int(match[1]))
            elif not _NOTICE.fullmatch(line) and PLAIN.encode() not in line:
                found.torn.append(line)
        return found


def _lines(folder: Path) -> Iterator[bytes]:
    for path in log_files(folder):
        with path.open("rb") as file:
            yield from file


def ends_with(folder: Path, number: int) -> bool:
    """Whether the line of this number is among the last that were written."""
    return any(f"frame {number} took ".encode() in _tail(path) for path in log_files(folder)[-2:])


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 4096, 0))
            return file.read()
    except FileNotFoundError:
        # It was rotated between the listing and the look.
        return b""


def _standard(handler: logging.Handler, close: Callable[[], object] | None = None) -> Started:
    log = logging.getLogger("bench")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    return Started(log, close=close or handler.close)


def _formatted(handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(logging.Formatter(FORMAT, TIME))
    return handler


def _file_handler(folder: Path, _size: int) -> Started:
    return _standard(_formatted(logging.FileHandler(folder / "bench.log")))


def _rotating(folder: Path, size: int) -> Started:
    handler = logging.handlers.RotatingFileHandler(folder / "bench.log", maxBytes=size, backupCount=ROTATE_KEEP)
    return _standard(_formatted(handler))


def _queue_handler(folder: Path, _size: int) -> Started:
    records: queue.Queue[Any] = queue.Queue(-1)
    listener = logging.handlers.QueueListener(records, _formatted(logging.FileHandler(folder / "bench.log")))
    listener.start()
    return _standard(logging.handlers.QueueHandler(records), listener.stop)


def _loguru(folder: Path, enqueue: bool) -> Started:
    from loguru import logger

    logger.remove()
    line = "{time:YYYY-MM-DD HH:mm:ss.SSS} [{process}] [{level}] {message}"
    logger.add(folder / "bench.log", level="INFO", format=line, enqueue=enqueue)

    def close() -> None:
        logger.complete()
        logger.remove()

    return Started(logger, BRACES, push=logger.complete, close=close)


def _picologging(handler: Any, **ways: Callable[[], object]) -> Started:
    import picologging

    log = picologging.getLogger("bench")
    log.setLevel(picologging.INFO)
    log.propagate = False
    log.addHandler(handler)
    return Started(log, **{"close": handler.close, **ways})


def _pico_file(folder: Path) -> Any:
    import picologging

    handler = picologging.FileHandler(str(folder / "bench.log"))
    handler.setFormatter(picologging.Formatter(FORMAT_SECONDS, TIME))
    return handler


def _pico_rotating(folder: Path, size: int) -> Started:
    import picologging
    import picologging.handlers

    handler = picologging.handlers.RotatingFileHandler(str(folder / "bench.log"), maxBytes=size, backupCount=ROTATE_KEEP)
    handler.setFormatter(picologging.Formatter(FORMAT_SECONDS, TIME))
    return _picologging(handler)


def _pico_queue(folder: Path, _size: int) -> Started:
    import picologging.handlers

    records: queue.Queue[Any] = queue.Queue(-1)
    listener = picologging.handlers.QueueListener(records, _pico_file(folder))
    listener.start()
    return _picologging(picologging.handlers.QueueHandler(records), close=listener.stop)


def _pico_memory(folder: Path, _size: int) -> Started:
    import picologging
    import picologging.handlers

    handler = picologging.handlers.MemoryHandler(MEMORY_RECORDS, picologging.ERROR, _pico_file(folder))
    return _picologging(handler, push=handler.flush)


def _structlog(folder: Path, _size: int) -> Started:
    import structlog

    pid = os.getpid()

    def render(_logger: object, _method: str, event: dict[str, Any]) -> str:
        return f"{event['timestamp']} [{pid}] [{event['level'].upper()}] {event['event']}"

    file = (folder / "bench.log").open("w")
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(f"{TIME}.%f", utc=False), render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file),
        cache_logger_on_first_use=True,
    )
    return Started(structlog.get_logger().bind(), close=file.close)


def _logbook(folder: Path, threaded: bool) -> Started:
    import logbook
    from logbook.queues import ThreadedWrapperHandler

    logbook.set_datetime_format("local")
    line = "{record.time:%Y-%m-%d %H:%M:%S.%f} [{record.process}] [{record.level_name}] {record.message}"
    handler = logbook.FileHandler(folder / "bench.log", level=logbook.INFO, format_string=line)
    outer = ThreadedWrapperHandler(handler) if threaded else handler
    outer.push_application()
    return Started(logbook.Logger("bench", logbook.INFO), BRACES, close=outer.close)


def _fastlogging(folder: Path, _size: int) -> Started:
    import fastlogging

    log = fastlogging.LogInit(domain="bench", level=fastlogging.INFO, pathName=str(folder / "bench.log"), console=False)
    return Started(log, f"[{os.getpid()}] {PERCENT}", close=log.shutdown)


def _nexuslog(folder: Path, _size: int) -> Started:
    import nexuslog

    log = nexuslog.Logger("bench", str(folder / "bench"), nexuslog.INFO)
    return Started(log, f"[{os.getpid()}] {PERCENT}", caller_formats=True, close=log.shutdown)


def _logust(folder: Path, enqueue: bool) -> Started:
    from logust import logger

    logger.remove()
    logger.add(str(folder / "bench.log"), level="INFO", format="{time} [{process}] [{level}] {message}", enqueue=enqueue)
    return Started(logger, caller_formats=True, push=logger.complete, close=logger.complete)


def _lastwords(folder: Path, size: int, console: bool) -> Started:
    import lastwords

    if console:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    log = lastwords.setup_logger("bench", folder, console=console, rotate_size=size, rotate_keep=ROTATE_KEEP)
    return Started(log, push=log.handlers[0].flush, close=log.handlers[0].flush)


def _ring_handler(folder: Path, size: int) -> Started:
    import lastwords

    handler = lastwords.RingHandler("bench", folder, rotate_size=size, rotate_keep=ROTATE_KEEP)
    started = _standard(handler, handler.flush)
    started.push = handler.flush
    return started


#: All loggers, ours first.
PEERS = [
    Peer("lastwords", lambda folder, size: _lastwords(folder, size, False),
         "short way, ring only: call formats the message and writes it into mapped memory; the flusher thread renders and writes",
         "lastwords"),
    Peer("lastwords, console", lambda folder, size: _lastwords(folder, size, True),
         "as above, and hands the line to the console's thread; standard error is /dev/null, where writing costs next to nothing",
         "lastwords"),
    Peer("logging + RingHandler", _ring_handler,
         "the standard way: call makes a LogRecord, formats, writes into mapped memory; the flusher thread renders and writes",
         "lastwords"),
    Peer("logging FileHandler", _file_handler, _WRITES),
    Peer("logging RotatingFileHandler", _rotating, _WRITES),
    Peer("logging QueueHandler", _queue_handler, _QUEUES),
    Peer("loguru", lambda folder, _size: _loguru(folder, False), _WRITES, "loguru"),
    Peer("loguru enqueue=True", lambda folder, _size: _loguru(folder, True),
         "call formats the line, pickles it and writes it into a pipe, which makes it wait when full; leaves out the thread that "
         "writes, but for the GIL it takes", "loguru"),
    Peer("picologging FileHandler", lambda folder, _size: _picologging(_pico_file(folder)), _WRITES + "; no milliseconds",
         "picologging"),
    Peer("picologging RotatingFileHandler", _pico_rotating, _WRITES + "; no milliseconds", "picologging"),
    Peer("picologging QueueHandler", _pico_queue, _QUEUES + "; no milliseconds", "picologging"),
    Peer("picologging MemoryHandler", _pico_memory,
         f"call keeps a record in memory, and every {MEMORY_RECORDS}th formats and writes all; no milliseconds", "picologging"),
    Peer("structlog", _structlog, _WRITES, "structlog"),
    Peer("Logbook", lambda folder, _size: _logbook(folder, False), _WRITES, "logbook"),
    Peer("Logbook, threaded", lambda folder, _size: _logbook(folder, True), _QUEUES, "logbook"),
    Peer("fastlogging", _fastlogging, _QUEUES + "; no milliseconds, the pid is in the message", "fastlogging", True),
    Peer("nexuslog", _nexuslog,
         "caller formats, call puts the message into a queue; leaves out the thread that writes; the pid is in the message",
         "nexuslog", True),
    Peer("logust", lambda folder, _size: _logust(folder, False), "caller formats, call makes the line and buffers it", "logust"),
    Peer("logust enqueue=True", lambda folder, _size: _logust(folder, True),
         "caller formats, call puts the line into a queue; leaves out the thread that writes", "logust"),
]  # fmt: skip


def peer(name: str) -> Peer:
    """The logger of this name."""
    return next(peer for peer in PEERS if peer.name == name)


def chosen(names: list[str] | None) -> list[Peer]:
    """Those that are asked for, without those that are not installed; says which these are."""
    unknown = set(names or ()) - {peer.name for peer in PEERS}
    if unknown:
        raise SystemExit(f"no such logger: {', '.join(sorted(unknown))}; there are: {', '.join(peer.name for peer in PEERS)}")
    wanted = [peer for peer in PEERS if not names or peer.name in names]
    for missing in (peer for peer in wanted if not peer.is_installed()):
        print(f"left out: {missing.name}, because {missing.needs} is not installed; see requirements.txt")
    return [peer for peer in wanted if peer.is_installed()]
