"""The same names where rings cannot be: records go to ``<log_dir>/<role>.log`` through ``RotatingFileHandler``."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

__version__ = version("lastwords")

Logger = logging.Logger

_FORMAT = "%(asctime)s.%(msecs)03d [%(process)d] [%(levelname)s] %(message)s"
_CONSOLE_FORMAT = "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s"


class RingHandler(logging.handlers.RotatingFileHandler):
    """Writes records to ``<log_dir>/<role>.log``, rotated at 10 MiB, 5 kept. Settings other than these two say nothing here."""

    def __init__(
        self,
        role: str | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        level: int | str = logging.NOTSET,
        **settings: Any,
    ) -> None:
        self.role = role or os.environ.get("LASTWORDS_ROLE") or "worker"
        app = settings.get("app") or Path(sys.argv[0]).stem or "python"
        folder = Path(log_dir or os.environ.get("LASTWORDS_DIR") or Path(tempfile.gettempdir(), app, "logs"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        size, keep = int(settings.get("rotate_size", 10 << 20)), int(settings.get("rotate_keep", 5))
        super().__init__(
            folder / f"{self.role}.log", maxBytes=size, backupCount=keep, encoding="utf-8", errors="backslashreplace"
        )
        self.setLevel(level)
        self.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%d %H:%M:%S"))
        self.folder = folder

    def flush(self, timeout: float | None = None) -> None:
        """Hands on to the system what is written, whatever ``timeout`` says."""
        super().flush()


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes records to standard error."""

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__()
        self.setLevel(level)
        self.setFormatter(logging.Formatter(_CONSOLE_FORMAT, "%H:%M:%S"))


def setup_logger(
    process_type: str,
    log_dir: str | os.PathLike[str] | None = None,
    log_level: int | str = logging.INFO,
    dev_mode: bool = False,
    *,
    console: bool | None = None,
    root: bool = False,
    **settings: Any,
) -> logging.Logger:
    """Sets up the logger of a role, and returns it; with ``root``, the root logger has the handlers and the level."""
    named = logging.getLogger(process_type)
    logger = logging.getLogger() if root else named
    ring = None if dev_mode else RingHandler(process_type, log_dir, **settings)
    for handler in [handler for handler in logger.handlers if isinstance(handler, (RingHandler, ConsoleHandler))]:
        logger.removeHandler(handler)
        handler.close()
    if ring is not None:
        logger.addHandler(ring)
    if dev_mode or console is not False:
        logger.addHandler(ConsoleHandler())
    if not root:
        logger.propagate = False
    logger.setLevel(log_level)
    return named


def get_logger(role: str) -> logging.Logger:
    """The logger of a role, set up with the defaults if it was not set up before."""
    logger = logging.getLogger(role)
    return logger if logger.handlers else setup_logger(role)


def get_logger_from_env() -> logging.Logger:
    """The logger of the role that ``LASTWORDS_ROLE`` names, else of ``worker``."""
    return get_logger(os.environ.get("LASTWORDS_ROLE") or "worker")
