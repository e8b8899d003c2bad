"""Handlers: a ring that outlives the process, and a console that never makes anybody wait."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from lastwords import evidence
from lastwords._native import Console, FastHandler, Ring, name_thread, set_namer
from lastwords.fields import field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

#: Records that are kept in memory before the process is set up.
KEPT_MAX = 1000
#: Seconds after which a record that arrives was handed on, by a queue for instance, and has its own time.
LATE = 0.01
#: What a handler does with a record. Code that replaces one of these must see every record.
_WAY = ("emit", "filter", "format", "handle")
#: Standard level names.
_STANDARD = {0: "NOTSET", 10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
#: Custom level names that rings have been given, by role and folder.
_names: dict[tuple[str, Path | None], dict[int, str]] = {}
#: Attributes that every record has. A program's own factory may add some, which are fields.
_MADE = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
_OWN = frozenset(_MADE) | {"asctime", "message", "taskName"}
#: How many a record without ``extra`` has once it was formatted.
_PLAIN = len(_MADE) + 1


class _Handler(FastHandler, logging.Handler):
    def __init__(self, level: int | str = logging.NOTSET) -> None:
        logging.Handler.__init__(self, level)

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name in _WAY:
            self.fast = False

    def _way_is_ours(self, own: type) -> bool:
        return not any(name in self.__dict__ for name in _WAY) and all(
            getattr(type(self), name) is getattr(own, name) for name in _WAY
        )


class RingHandler(_Handler):
    """Writes records to this process's ring, from which they come into ``<log_dir>/<role>.log``, whatever ends the process.

    Args:
        role: Names the log file; a lower-case letter, then up to 31 of a-z, 0-9, ``-`` and ``_``. Default is ``LASTWORDS_ROLE``,
            else ``worker``.
        log_dir: Folder of the log files, made where it is missing. Default is ``LASTWORDS_DIR``, else ``<temp dir>/<app>/logs``.
        level: Records below it are none of this handler's.
        settings: Any setting of docs/settings.md by its name, such as ``rotate_size=1 << 20`` or ``format="json"``.

    Without a formatter, what ``extra`` holds becomes fields of the record: ``logged in user=ada``, or typed in JSON lines.

    Raises:
        OSError: The folder cannot be used, or the ring not be made.
        ValueError: A setting that there is not, or a value that cannot be.
    """

    def __init__(
        self,
        role: str | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        level: int | str = logging.NOTSET,
        **settings: Any,
    ) -> None:
        self._prepare(role or os.environ.get("LASTWORDS_ROLE") or "worker", level)
        self.open(log_dir, settings)

    @classmethod
    def unopened(cls, role: str) -> RingHandler:
        """A handler that opens its ring at its first record, and keeps records for the place that may be named later."""
        handler = cls.__new__(cls)
        handler._prepare(role, logging.NOTSET)
        handler._kept = []
        evidence.install(handler)
        return handler

    def _prepare(self, role: str, level: int | str) -> None:
        _Handler.__init__(self, level)
        self.role = role
        self._kept: list[tuple[Any, ...]] | None = None
        self._unusable = False
        self._names: dict[int, str] = {}
        #: Role and settings that its ring was opened with. None as long as it was not.
        self._place: tuple[str, dict[str, str]] | None = None
        #: Whether the ring is that of another handler, which closes it.
        self._borrows = False
        self._pid = 0
        self._owner: Callable[[], logging.Logger | None] = lambda: None

    def open(self, log_dir: str | os.PathLike[str] | None = None, settings: dict[str, Any] | None = None) -> None:
        """Opens the ring in this folder, or finds it."""
        self._open(self.role, self._given(log_dir, settings))

    @staticmethod
    def _given(log_dir: str | os.PathLike[str] | None, settings: dict[str, Any] | None) -> dict[str, str]:
        given = {name: _text(name, value) for name, value in (settings or {}).items() if value is not None}
        if not os.environ.keys() & {"LASTWORDS_APP", "LASTWORDS_CONFIG"}:
            given.setdefault("app", app_name())
        if log_dir is not None:
            given["dir"] = os.fsdecode(log_dir)
        return given

    def _open(self, role: str, given: dict[str, str]) -> Ring:
        this = weakref.ref(self)

        def changed() -> None:
            handler = this()
            if handler is not None:
                handler._ring_changed()

        with logging._lock:  # type: ignore[attr-defined]
            # A process has one ring for a role and folder: two threads that check at the same time would create two.
            ring = self.ring = Ring(role, given, changed)
        self._borrows, self._pid = False, os.getpid()
        # Wherever the environment and the working folder lead by the time at which it is opened again.
        self._place = role, {**given, "dir": os.fsdecode(ring.folder or given.get("dir", ""))}
        self._names = _names.setdefault((role, self.folder), dict(_STANDARD))
        for level in list(logging._levelToName):
            self._name_level(ring, level)
        self.fast = self._kept is None and self._way_is_ours(RingHandler)
        evidence.install(self)
        evidence.attach(self)
        return ring

    def _open_again(self) -> Ring | None:
        """Opens the ring of a handler that was closed, and to which a record has come all the same."""
        if self._place is None:
            return self.open_early()
        role, given = self._place
        try:
            ring = self._open(role, given)
        except ValueError:
            # It was opened meanwhile, with other settings.
            ring = self._open(role, {name: given[name] for name in ("app", "dir", "rings") if name in given})
        self._show_owners_level()
        return ring

    def _show_owners_level(self) -> None:
        owner = self._owner()
        if owner is not None:
            # The program's log call must not fail for what `lastwords status` shows.
            with contextlib.suppress(OSError, ValueError):
                if not self.apply_kept_levels():
                    self.show_level(owner)

    def close(self) -> None:
        """Gives back what the handler has: with the last handler of a role and folder descriptors and ring, with the last of a
        folder the thread that flushes. What was logged before is in its file then, within 2 s.

        A record that comes later opens all of it again, as it does with ``logging.FileHandler``. At the end of the process
        nothing is given back before its time, so that a crash until then is logged as ever.
        """
        self.acquire()
        try:
            ring = self.ring
            if ring is not None and not evidence.is_ending():
                self.ring = None
                evidence.leave(self)
                if not self._borrows:
                    _names.pop((self._place[0], self.folder) if self._place else ("", None), None)
                    # What is not flushed is safe in the ring.
                    with contextlib.suppress(OSError, RuntimeError):
                        ring.close()
        finally:
            self.release()
        super().close()

    @property
    def folder(self) -> Path | None:
        """Where the log files are; None before the first record of a logger that was not set up."""
        if self.ring is not None and self.ring.folder is not None:
            return self.ring.folder
        if self._place is None:
            return None
        # Its import takes longer than most programs would wait for, and those whose handlers are open have it.
        from pathlib import Path

        return Path(self._place[1]["dir"])

    def is_of_this_process(self) -> bool:
        """Whether this process has logged to its ring, or made it, and not just the one that it was forked from."""
        return self._pid == os.getpid()

    def owned_by(self, logger: logging.Logger) -> None:
        """Has the levels of this logger follow what is set from outside."""
        self._owner = weakref.ref(logger)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record. When this returns, it outlives the process."""
        try:
            # Before anything that takes time.
            relayed = _relayed(record)
            text = self.format(record)
            fields, exception_at = None, None
            if self.formatter is None:
                fields = _fields(record)
                # loguru has a line's end there, and the exception in the message.
                if record.exc_text and record.exc_text.strip() and len(text) > len(record.message):
                    # A message that ends with a newline has it from the formatter already.
                    between = not record.message.endswith("\n")
                    exception_at = len(record.message.encode("utf-8", "backslashreplace")) + between
            line = (record.levelno, str(record.name), str(record.pathname), record.lineno or 0, text, fields)
            if self._kept is not None:
                self._keep(record.created, line)
            ring = self.ring or self._open_again()
            if ring is not None:
                thread = record.threadName
                if relayed is not None:
                    # That is a thread of another time or process; the one that passes it on keeps its own name.
                    thread = threading.current_thread().name
                self._name_level(ring, record.levelno)
                done = ring.append(*line, thread, relayed, exception_at)
                if done is None:
                    # Another handler has closed it, or another thread this one.
                    ring = self._open_again()
                    done = ring is not None and ring.append(*line, thread, relayed, exception_at)
                if done:
                    self._ring_changed()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def flush(self, timeout: float | None = None) -> None:
        """Waits until all that was logged before is in the log file, ``timeout`` seconds at most, 2 if it is None. What is not by
        then is safe all the same."""
        if self.ring is not None:
            with contextlib.suppress(RuntimeError):
                self.ring.flush(timeout)

    def show_level(self, logger: logging.Logger) -> None:
        """Has ``lastwords status`` show the level of this logger, if it is the handler's own."""
        if self.ring is not None and self._owner() is logger:
            self.ring.set_directives(str(min(max(logger.level, 0), 65535)))

    def apply_levels(self, levels: Iterable[tuple[str | None, int]]) -> None:
        """Sets the levels of loggers: that without a name is the owner's."""
        for target, level in levels:
            logger = self._owner() if target is None else logging.getLogger(target)
            if logger is not None:
                logging.Logger.setLevel(logger, level)

    def apply_kept_levels(self) -> bool:
        """Sets the levels that ``lastwords level --keep`` has left for processes that start now; False if it has not."""
        kept = None if self.ring is None else self.ring.kept_levels
        if kept is not None:
            self.apply_levels(kept)
        return kept is not None

    def settle(self, place: RingHandler) -> None:
        """Ends the time in which records are kept. Those that ``place`` has not are written there, and further ones too."""
        if place.ring is None:
            return
        self.acquire()
        try:
            self._settle(place)
        finally:
            self.release()

    def _settle(self, place: RingHandler) -> None:
        assert place.ring is not None
        import datetime  # Not where most programs would wait for it: at the import.

        kept, self._kept = self._kept, None
        if self._place is None or (self.role, self.folder) != (place.role, place.folder):
            for created, (level, name, file, line, text, fields) in kept or ():
                logged = datetime.datetime.fromtimestamp(created).astimezone().isoformat(timespec="milliseconds")
                place.ring.append(level, name, file, line, text, {**(fields or {}), "logged": logged})
        earlier, borrowed = self.ring, self._borrows
        self.ring, self._names, self._place, self._borrows = place.ring, place._names, place._place, True
        if earlier is not None and not borrowed:
            with contextlib.suppress(OSError, RuntimeError):
                earlier.close()
        self.fast = self._way_is_ours(RingHandler)

    def _keep(self, created: float, line: tuple[Any, ...]) -> None:
        assert self._kept is not None
        self._kept.append((created, line))
        if len(self._kept) >= KEPT_MAX and (self.ring or self.open_early()) is not None:
            # No other handler names another place any more.
            self._kept = None
            self.fast = self._way_is_ours(RingHandler)
        elif len(self._kept) > KEPT_MAX:
            del self._kept[0]

    def open_early(self) -> Ring | None:
        """Opens the ring where the environment says; where that cannot be, records wait in memory."""
        if not self._unusable and self._kept is not None:
            try:
                self.open()
            except (OSError, ValueError) as error:
                self._unusable = True
                print(
                    f"lastwords: cannot log as {self.role}: {error}; the last {KEPT_MAX} lines are kept in memory",
                    file=sys.stderr,
                )
        return self.ring

    def _name_level(self, ring: Ring, level: int) -> None:
        """Has the ring know the level by its name, which ``logging.addLevelName`` may have changed."""
        name = logging.getLevelName(level)
        if self._names.get(level) != name:
            if level in _STANDARD:
                # It may get its own name back at any time, and the fast path would not notice.
                self.fast = False
            self._names[level] = name
            if 0 <= level < 65535:
                ring.name_level(level, name)

    def _ring_changed(self) -> None:
        """Called after a record that was the first of a forked child, or the first after a change from outside."""
        if self.ring is None:
            # Closed meanwhile.
            return
        if os.getpid() == self._pid:
            self.apply_levels(self.ring.levels)
            return
        self._pid = os.getpid()
        self._show_owners_level()
        evidence.attach(self)


class ConsoleHandler(_Handler, logging.StreamHandler):  # type: ignore[type-arg]
    """Writes records to standard error: ``[05:55:47] [4157] [INFO] text key=value``, with colours on a terminal.

    A thread of its own writes. Where nobody reads the pipe, lines wait, up to 10,000 of them; further ones are counted, and
    the next that gets through says how many are missing. No log call ever waits.

    Where a program has put another stream in the place of ``sys.stderr``, as test runners and notebooks do, or has set the
    ``stream`` of this handler, the lines are written to that stream, at once.
    """

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._stream: Any = None
        self.console = Console()
        self.fast = self._way_is_ours(ConsoleHandler)

    @property
    def stream(self) -> Any:
        """Where lines go: what was set here, else what ``sys.stderr`` is at the time."""
        return sys.stderr if self._stream is None else self._stream

    @stream.setter
    def stream(self, stream: Any) -> None:
        self._stream = None if stream is sys.__stderr__ else stream
        self.fast = self._stream is None and self._way_is_ours(ConsoleHandler)

    def _other_stream(self) -> Any:
        """The stream that was set for the lines; None for the process's standard error."""
        stream = self.stream
        if stream is None or stream is sys.__stderr__:
            return None
        try:
            # Another object for the same descriptor: with another encoding, or unbuffered.
            return None if stream.fileno() == 2 else stream
        except (AttributeError, OSError, ValueError):
            return stream

    def emit(self, record: logging.LogRecord) -> None:
        """Hands a record to the thread that writes."""
        try:
            text = self.format(record)
            assert self.console is not None
            fields = _fields(record) if self.formatter is None else None
            if fields:
                text = self.console.shown(text, fields)
            name: str | None = logging.getLevelName(record.levelno)
            name = None if _STANDARD.get(record.levelno) == name else name
            stream = self._other_stream()
            if stream is not None:
                plain = self.formatter is None
                stream.write(self.console.line(record.levelno, text, name) if plain else text + self.terminator)
                stream.flush()
            elif self.formatter is None:
                self.console.push(record.levelno, text, name)
            else:
                self.console.write(text)
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Ends the thread that writes, when it has written what waits. A later line starts it again."""
        if self.console is not None and not evidence.is_ending():
            self.console.rest()
        super().close()

    def flush(self) -> None:
        """Waits until all lines are written, at most 0.3 s."""
        stream = self._other_stream()
        if stream is not None and hasattr(stream, "flush"):
            # One that was closed since has nothing left to write.
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        if self.console is not None:
            self.console.flush()


def _fields(record: logging.LogRecord) -> dict[str, bool | int | float | str | bytes] | None:
    """What ``extra`` has given a record, and what a program's own factory has."""
    if len(record.__dict__) <= _PLAIN:
        return None
    return {str(name): field(value) for name, value in record.__dict__.items() if name not in _OWN}


def _name_thread() -> None:
    """Names the calling thread in rings, before its first record."""
    name_thread(threading.current_thread().name)


set_namer(_name_thread)


def _relayed(record: logging.LogRecord) -> tuple[int, int, str | None] | None:
    """Time, process and level name of a record that was passed on. None for a current one."""
    try:
        created, pid = float(record.created), record.process
        late = abs(time.time() - created) > LATE
        foreign = pid is not None and pid != os.getpid()
        known = logging.getLevelName(record.levelno)
        unnamed = record.levelname != known and known == f"Level {record.levelno}"
        if not (late or foreign or unnamed) or not 0 <= created < 2**33:
            return None
        name = record.levelname
        if name == known or not isinstance(name, str) or not name.isprintable() or not 0 < len(name.encode()) <= 64:
            name = None  # type: ignore[assignment]
        return int(created * 1e9), pid if type(pid) is int and 0 < pid < 2**32 else os.getpid(), name
    except (AttributeError, TypeError, ValueError):
        # A record that was created without these is a current one.
        return None


def app_name() -> str:
    """The name of the program, which the default folder has: that of its script or package, else ``python``."""
    folder, file = os.path.split(sys.argv[0] if sys.argv else "")
    name = os.path.splitext(file)[0]
    if name == "__main__":
        name = os.path.basename(folder)
    # A script's name need not be text, that of an application is.
    return "python" if name in ("", "-c", "-m") else os.fsencode(name).decode("utf-8", "replace")


def _text(name: str, value: object) -> str:
    if name == "file_mode" and isinstance(value, int):
        # As os.chmod takes it; the setting is an octal number in text.
        return f"{value:04o}"
    if isinstance(value, bool):
        return str(value).lower()
    return os.fsdecode(value) if isinstance(value, (os.PathLike, bytes)) else str(value)
