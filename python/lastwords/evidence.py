"""What is known of a process's end: uncaught exceptions, tracebacks of fatal signals, and ends that are no crash."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from lastwords import _native
from lastwords.logger import Logger

if TYPE_CHECKING:
    from lastwords.handlers import RingHandler

_Error = tuple[type[BaseException], BaseException, TracebackType | None]

#: Where exceptions are recorded: the handler whose ring was opened last.
_handler: RingHandler | None = None
_installed = False
_attached: Any = None


def install(handler: RingHandler) -> None:
    """Has what this process may die of recorded by this handler."""
    global _handler, _installed
    _handler = handler
    if not _installed:
        _installed = True
        _watch_exceptions()
        _watch_asyncio()
        _watch_forks()
        _watch_exit()
        _watch_exec()
        _watch_signals()
        _watch_multiprocessing()
        _watch_faulthandler()


def attach(handler: RingHandler) -> None:
    """Has fatal signals leave the tracebacks of all threads beside this process's ring.

    Where somebody else has enabled ``faulthandler``, that stays as it is.
    """
    global _attached
    if handler.ring is None or (faulthandler.is_enabled() and _attached is None):
        # It may have been enabled between the ring and this.
        _native.sigbus_guard_first()
        return
    try:
        earlier, _attached = _attached, os.fdopen(handler.ring.attachment(), "ab", buffering=0)
        faulthandler.enable(file=_attached, all_threads=True)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"lastwords: no tracebacks of fatal signals: {error}", file=sys.stderr)
    else:
        if earlier is not None:
            earlier.close()


def record(message: str, error: _Error, thread: str | None = None) -> None:
    """Records an exception that nobody caught."""
    handler = _handler
    if handler is None:
        return
    made = logging.LogRecord(handler.role, logging.CRITICAL, "", 0, message, (), error)
    if thread is not None:
        made.threadName = thread
    handler.handle(made)


def _watch_exceptions() -> None:
    earlier, earlier_of_threads = sys.excepthook, threading.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        try:
            if issubclass(kind, KeyboardInterrupt):
                # The interpreter ends itself by SIGINT then, when all is torn down, and no hook of the C library runs.
                atexit.register(_native.close)
            else:
                record("uncaught exception", (kind, error, trace))
        finally:
            earlier(kind, error, trace)

    def excepthook_of_threads(found: threading.ExceptHookArgs) -> None:
        try:
            if found.exc_value is not None and not issubclass(found.exc_type, SystemExit):
                name = found.thread.name if found.thread else "unknown"
                record(f"uncaught exception in thread {name}", (found.exc_type, found.exc_value, found.exc_traceback), name)
        finally:
            earlier_of_threads(found)

    sys.excepthook = excepthook
    threading.excepthook = excepthook_of_threads


class _AsyncioLogger(logging.Logger):
    """The logger of asyncio, where it is made before asyncio was imported.

    ``dictConfig`` disables loggers that exist already. This one would not, and asyncio's exceptions be lost by that.
    """

    @property
    def disabled(self) -> bool:
        """Whether it is disabled."""
        return self._disabled

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        self._disabled = bool(disabled) and "asyncio" in sys.modules


class _AsyncioHandler(logging.Handler):
    """Records what asyncio says of exceptions that no task's owner asked for."""

    def emit(self, found: logging.LogRecord) -> None:
        logger = logging.getLogger("asyncio")
        others = [handler for handler in logger.handlers if handler is not self]
        if logger.propagate:
            others += logging.root.handlers
        if found.exc_info and found.exc_info[0] is not None:
            if any(handler is _handler for handler in others):
                # It comes there in a moment, once.
                found.levelno, found.levelname = logging.CRITICAL, logging.getLevelName(logging.CRITICAL)
            else:
                record(f"uncaught exception in asyncio: {found.getMessage()}", found.exc_info)
        if not others and logging.lastResort is not None and found.levelno >= logging.lastResort.level:
            # A logger without handlers prints; ours is none that should change it.
            logging.lastResort.handle(found)


def _watch_asyncio() -> None:
    logger = logging.getLogger("asyncio")
    if type(logger) in (logging.Logger, Logger) and "asyncio" not in sys.modules:
        logger.__class__ = _AsyncioLogger
        logger.disabled = logger.__dict__.pop("disabled", False)
    logger.addHandler(_AsyncioHandler(logging.ERROR))


def _watch_forks() -> None:
    if sys.version_info >= (3, 12):
        # The interpreter warns of a fork in a process that has threads.
        os.register_at_fork(before=_native.before_fork, after_in_parent=_native.after_fork_in_parent)
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _after_fork_in_child() -> None:
    _native.after_fork_in_child()
    if _attached is not None and faulthandler.is_enabled() and sys.__stderr__ is not None:
        # The file is the parent's. This process has its own from its first record on.
        with contextlib.suppress(OSError, ValueError):
            faulthandler.enable(file=sys.__stderr__, all_threads=True)


def _watch_exit() -> None:
    """Has ``os._exit`` say that it is an ordinary end.

    It is how processes of ``multiprocessing`` and children of ``fork`` end.
    """
    exit_at_once = os._exit

    @functools.wraps(exit_at_once)
    def _exit(status: int) -> NoReturn:
        _native.close()
        if _handler is not None and _multiprocessing_parent() is not None:
            _handler.flush()
            _native.Console().flush()
        exit_at_once(status)

    os._exit = _exit


def _watch_exec() -> None:
    """Has ``os.exec*`` say that it is an ordinary end, and take that back where it fails. All of them call one of these two."""
    for name in ("execv", "execve"):
        earlier = getattr(os, name)
        watched = _saying_that_it_ends(earlier)
        setattr(os, name, watched)
        if earlier in os.supports_fd:
            os.supports_fd.add(watched)


def _saying_that_it_ends(execute: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    @functools.wraps(execute)
    def watched(*arguments: Any, **keywords: Any) -> NoReturn:
        _native.close()
        try:
            execute(*arguments, **keywords)
        finally:
            _native.reopen()

    return watched


def _watch_signals() -> None:
    """Has an end by SIGTERM, SIGINT or SIGHUP seen also where the program has restored the default action.

    asyncio, uvicorn and everything that saves a handler and restores it does so, and many raise the signal again then. What
    ``signal.getsignal`` says is not changed by it.
    """
    set_handler = signal.signal

    @functools.wraps(set_handler)
    def watched(signalnum: Any, handler: Any) -> Any:
        earlier = set_handler(signalnum, handler)
        if isinstance(handler, int) and handler == signal.SIG_DFL:
            _native.watch_signals()
        return earlier

    signal.signal = watched


def _watch_multiprocessing() -> None:
    """Has a process of ``multiprocessing`` record the exception that ends it.

    It asks no excepthook, and has printed and forgotten the exception before it runs anything of ours. So what prints is
    watched, and looks at who called it.
    """
    print_exc = traceback.print_exc

    @functools.wraps(print_exc)
    def watched(*arguments: Any, **keywords: Any) -> None:
        kind, error, trace = sys.exc_info()
        process = sys.modules.get("multiprocessing.process")
        if process is not None and sys._getframe(1).f_code is process.BaseProcess._bootstrap.__code__:
            assert kind is not None and error is not None
            record(f"uncaught exception in process {process.current_process().name}", (kind, error, trace))
        print_exc(*arguments, **keywords)

    traceback.print_exc = watched


def _watch_faulthandler() -> None:
    """Has ``faulthandler`` leave a SIGBUS in a ring to the ring's guard, whoever enables it and whenever.

    It takes every SIGBUS for the end. What is not the guard's is handed on to it.
    """
    enable = faulthandler.enable

    @functools.wraps(enable)
    def watched(*arguments: Any, **keywords: Any) -> None:
        enable(*arguments, **keywords)
        _native.sigbus_guard_first()

    faulthandler.enable = watched


def _multiprocessing_parent() -> object:
    process = sys.modules.get("multiprocessing.process")
    return None if process is None else process.parent_process()
