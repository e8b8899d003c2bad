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
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from lastwords import _native
from lastwords.logger import Logger

if TYPE_CHECKING:
    from lastwords.handlers import RingHandler

_Error = tuple[type[BaseException], BaseException, TracebackType | None]

_installed = False
#: All handlers, the one that was opened last at the end, those that were closed at the beginning.
_known: list[weakref.ref[RingHandler]] = []
#: The interpreter ends.
_ending = False
#: The file that ``faulthandler`` was given here, and the handler beside whose ring it is.
_attached: Any = None
_attached_by: weakref.ref[RingHandler] | None = None
#: Whether ``faulthandler`` was enabled last here, and not by other code.
_ours = False


def is_ending() -> bool:
    """Whether the interpreter ends."""
    return _ending


def install(handler: RingHandler) -> None:
    """Has what this process may die of recorded by this handler."""
    global _installed
    _known[:] = [known for known in _known if known() not in (None, handler)] + [weakref.ref(handler)]
    if not _installed:
        _installed = True
        _watch_end()
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

    If other code has enabled ``faulthandler``, that stays as it is.
    """
    global _attached, _attached_by
    if handler.ring is None or (faulthandler.is_enabled() and not _ours):
        # It may have been enabled between the ring and this.
        _native.sigbus_guard_first()
        return
    try:
        earlier, _attached = _attached, os.fdopen(handler.ring.attachment(), "ab", buffering=0)
        _attached_by = weakref.ref(handler)
        _enable(_attached)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"lastwords: no tracebacks of fatal signals: {error}", file=sys.stderr)
    else:
        if earlier is not None:
            earlier.close()


def leave(handler: RingHandler) -> None:
    """Has nothing more recorded by this handler, whose ring is about to be closed."""
    global _attached, _attached_by, _ours
    _known[:] = [weakref.ref(handler)] + [known for known in _known if known() not in (None, handler)]
    others = [known for known in (reference() for reference in _known) if known is not None and known.ring is not None]
    if _attached is None or _attached_by is None or _attached_by() not in (None, handler):
        return
    made_here = [known for known in others if known.is_of_this_process()]
    if made_here:
        attach(made_here[-1])
        return
    if _ours and others and sys.__stderr__ is not None:
        # Those of the process that this one was forked from; the first record of one has it attached again.
        with contextlib.suppress(OSError, ValueError):
            _enable(sys.__stderr__)
    elif _ours:
        faulthandler.disable()
        _ours = False
    _attached.close()
    _attached = _attached_by = None


def _enable(file: Any) -> None:
    global _ours
    faulthandler.enable(file=file, all_threads=True)
    _ours = True


def record(message: str, error: _Error, thread: str | None = None) -> None:
    """Records an uncaught exception."""
    handler = _recorder()
    if handler is None:
        return
    made = logging.LogRecord(handler.role, logging.CRITICAL, "", 0, message, (), error)
    if thread is not None:
        made.threadName = thread
    handler.handle(made)


def _recorder() -> RingHandler | None:
    """Where exceptions are recorded: the handler whose ring was opened last, as long as it is in use."""
    for reference in reversed(_known):
        handler = reference()
        if handler is not None and (handler.ring is not None or _is_in_use(handler)):
            return handler
    return None


def _is_in_use(handler: RingHandler) -> bool:
    """Whether a logger has the handler. One that was closed opens its ring again then, else it is done with."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    return any(handler in getattr(logger, "handlers", ()) for logger in loggers)


def _watch_end() -> None:
    """Has nothing closed before its time at the end: ``logging`` closes all handlers, and a crash may be yet to come."""

    def ends() -> None:
        global _ending
        _ending = True

    # Later than that of logging, and so called earlier.
    atexit.register(ends)


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
            recorder = _recorder()
            if any(handler is recorder for handler in others):
                # It comes there in a moment, once.
                found.levelno, found.levelname = logging.CRITICAL, logging.getLevelName(logging.CRITICAL)
            else:
                record(f"uncaught exception in asyncio: {found.getMessage()}", found.exc_info)
        if not others and logging.lastResort is not None and found.levelno >= logging.lastResort.level:
            # A logger without handlers prints; ours should not change that.
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
    if _ours and faulthandler.is_enabled() and sys.__stderr__ is not None:
        # The file is the parent's. This process has its own from its first record on.
        with contextlib.suppress(OSError, ValueError):
            _enable(sys.__stderr__)


def _watch_exit() -> None:
    """Has ``os._exit`` say that it is an ordinary end.

    It is how processes of ``multiprocessing`` and children of ``fork`` end.
    """
    exit_at_once = os._exit

    @functools.wraps(exit_at_once)
    def _exit(status: int) -> NoReturn:
        _native.close()
        handler = _recorder() if _multiprocessing_parent() is not None else None
        if handler is not None:
            handler.flush()
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
    watched, and checks its caller.
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
    """Has ``faulthandler`` come after us, whenever it is enabled or disabled.

    It prints, and raises the signal again: who comes after it finds the thread in that, and not where it crashed. It takes
    every SIGBUS as fatal, also one in a ring. And where it is disabled, it takes away what was installed since it was enabled.
    """
    enable, disable = faulthandler.enable, faulthandler.disable

    @functools.wraps(enable)
    def watched_enable(*arguments: Any, **keywords: Any) -> None:
        global _ours
        _native.fatal_signals_first(lambda: enable(*arguments, **keywords))
        _ours = False

    @functools.wraps(disable)
    def watched_disable() -> Any:
        return _native.fatal_signals_first(disable)

    faulthandler.enable, faulthandler.disable = watched_enable, watched_disable


def _multiprocessing_parent() -> object:
    process = sys.modules.get("multiprocessing.process")
    return None if process is None else process.parent_process()
