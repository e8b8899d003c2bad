"""The loggers of a process, by its role: ``host``, ``worker`` or any other."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from lastwords import _native
from lastwords.handlers import ConsoleHandler, RingHandler
from lastwords.logger import adopt, adopt_later

if TYPE_CHECKING:
    from collections.abc import Callable


class _Default(int):
    """A default level, which the environment may override."""


_INFO = _Default(logging.INFO)
#: That of logging, which a configuration may hold that calls us, and which logging makes anew in forked children.
_lock = logging._lock  # type: ignore[attr-defined]
#: Handlers of loggers whose process was not given a role: they follow the first role that is named.
_assumed: list[RingHandler] = []
#: Handlers that were made before their role was set up.
_early: dict[str, RingHandler] = {}
#: The handler of the role that this process was named first.
_named: RingHandler | None = None


def setup_logger(
    process_type: str,
    log_dir: str | os.PathLike[str] | None = None,
    log_level: int | str = _INFO,
    dev_mode: bool = False,
    *,
    console: bool | None = None,
    root: bool = False,
    **settings: Any,
) -> logging.Logger:
    """Sets up the logger of a role, and returns it: the object that ``logging.getLogger(process_type)`` returns.

    It has a ``RingHandler`` and a ``ConsoleHandler``, and does not propagate. Calling this again configures it anew; handlers
    that other code attached stay.

    Args:
        process_type: The role: ``host``, ``worker`` … It names the log file.
        log_dir: Folder of the log files. Default is ``LASTWORDS_DIR``, else ``<temp dir>/<app>/logs``.
        log_level: Level of the logger. Default is what ``LASTWORDS_LOG`` says, else ``INFO``. What ``lastwords level --keep`` has
            left for the role counts more.
        dev_mode: Console only, no files.
        console: Whether there is a console handler. Default is ``LASTWORDS_CONSOLE``, else yes.
        root: Whether the root logger has the handlers and the level instead, so that what any logger of the process says,
            ``logging.getLogger(__name__)`` and those of libraries, lands in the role.
        settings: Any setting of docs/settings.md by its name: ``rotate_size``, ``rotate_keep``, ``format``, ``record``,
            ``flusher``, … A ring keeps those that it was made with.

    Raises:
        OSError: The folder cannot be used, or the ring not be made.
        ValueError: A role, a level or a setting that cannot be, or one that differs from what the process's ring of this role
            and folder was made with.
    """
    level = logging._checkLevel(log_level)  # type: ignore[attr-defined]
    if isinstance(log_level, _Default):
        levels = _native.configured_levels(process_type)
    else:
        levels = [(None, level)]
        settings.setdefault("log", str(min(max(level, 0), 65535)))
    with _lock:
        ring = None if dev_mode else RingHandler(process_type, log_dir, **settings)
        named = adopt(logging.getLogger(process_type))
        adopt_later()
        logger = adopt(logging.root) if root else named
        # `dictConfig` disables the loggers that it does not name; a program that sets this one up expects it to log.
        named.disabled = False
        if root:
            _hand_on(named)
        else:
            _take_away(logging.root, lambda handler: isinstance(handler, RingHandler) and handler.role == process_type)
        _replace_handlers(logger, ring, dev_mode or _wants_console(console))
        earlier = _early.pop(process_type, None)
        if ring is None:
            logger.setLevel(levels[0][1])
            _leave_files()
        else:
            ring.owned_by(logger)
            if not ring.apply_kept_levels():
                ring.apply_levels(levels)
                if len(levels) == 1:
                    ring.show_level(logger)
            _name(ring, earlier)
        return named


def get_logger(role: str) -> logging.Logger:
    """The logger of a role: the object that ``logging.getLogger(role)`` returns.

    Before ``setup_logger`` has configured it, it logs where the environment says, from its first record on. If
    ``setup_logger`` names another place later, up to 1,000 records of the time before are written there as well, with the
    field ``logged``.

    Raises:
        ValueError: A role or a setting in the environment that cannot be.
    """
    with _lock:
        logger = _early_logger(role)
        if role in _early:
            _name(_early[role], None)
        return logger


def get_logger_from_env() -> logging.Logger:
    """The logger of the role that ``LASTWORDS_ROLE`` names, else of ``worker``.

    For code that host and workers share: where nothing names the role, the records go to the role that this process is set up
    as, before or after.

    Raises:
        ValueError: A role or a setting in the environment that cannot be.
    """
    role = os.environ.get("LASTWORDS_ROLE")
    if role:
        return get_logger(role)
    with _lock:
        logger = _early_logger("worker")
        handler = _early.get("worker")
        if handler is not None and handler is not _named and handler not in _assumed:
            _assumed.append(handler)
            if _named is not None:
                _follow(_named)
        return logger


def _early_logger(role: str) -> logging.Logger:
    logger = logging.getLogger(role)
    if any(isinstance(handler, RingHandler) and handler.role == role for handler in logging.root.handlers):
        # The root logger has the role, and this one hands on to it.
        return logger
    if not any(isinstance(handler, (RingHandler, ConsoleHandler)) for handler in logger.handlers):
        levels = _native.configured_levels(role)
        handler = _early[role] = RingHandler.unopened(role)
        adopt(logger)
        logger.disabled = False
        _replace_handlers(logger, handler, _wants_console(None))
        handler.owned_by(logger)
        handler.apply_levels(levels)
        if _native.configured_ring_level(role) is not None:
            # A ring-only record does not open the ring.
            handler.open_early()
    return logger


def _take_away(logger: logging.Logger, of_ours: Callable[[logging.Handler], bool]) -> None:
    """Takes handlers of ours off a logger: all of them where one is such, for they were put there together."""
    ours = [handler for handler in logger.handlers if isinstance(handler, (RingHandler, ConsoleHandler))]
    for handler in ours if any(of_ours(handler) for handler in ours) else []:
        logger.removeHandler(handler)
        handler.close()


def _hand_on(logger: logging.Logger) -> None:
    """Has a role's logger leave its records to the root logger."""
    _take_away(logger, lambda _: True)
    logger.propagate = True
    logging.Logger.setLevel(logger, logging.NOTSET)


def _replace_handlers(logger: logging.Logger, ring: RingHandler | None, console: bool) -> None:
    _take_away(logger, lambda _: True)
    if ring is not None:
        logger.addHandler(ring)
    if console:
        logger.addHandler(ConsoleHandler())
    logger.propagate = logger is logging.root
    for name, known in list(logging.root.manager.loggerDict.items()):
        if isinstance(known, logging.Logger) and (logger is logging.root or name.startswith(f"{logger.name}.")):
            adopt(known)


def _name(handler: RingHandler, earlier: RingHandler | None) -> None:
    """Notes that this process has a role, and has the records of the time before written to it."""
    global _named
    if earlier is not None:
        if earlier in _assumed:
            _assumed.remove(earlier)
        earlier.settle(handler)
    if _named is None or _named is earlier:
        _named = handler
    _follow(handler)


def _follow(handler: RingHandler) -> None:
    if handler in _assumed:
        _assumed.remove(handler)
    if _assumed and handler.ring is None:
        handler.open()
    while _assumed:
        _assumed.pop().settle(handler)


def _leave_files() -> None:
    """Has loggers whose process was not given a role log to the console alone, as the process does."""
    for handler in _assumed:
        logging.getLogger(handler.role).removeHandler(handler)
        handler.close()
    _assumed.clear()


def _wants_console(given: bool | None) -> bool:
    return os.environ.get("LASTWORDS_CONSOLE", "true").lower() != "false" if given is None else given
