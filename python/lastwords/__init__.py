"""A logger whose lines outlive the process that wrote them.

    >>> import lastwords
    >>> log = lastwords.setup_logger("worker", log_dir="logs")  # doctest: +SKIP
    >>> log.info("frame %d took %.1f ms", 7, 16.6)              # doctest: +SKIP

Every line is in memory that belongs to the file system, not to the process, when the call returns: SIGKILL, a segfault in a
native library or ``os._exit`` do not take it away. One of the processes that share a log folder drains all of them into
``<role>.log``, in time order, exactly once.

The loggers are those of the standard library's ``logging``, and everything that it can do with a logger works. See
``docs/python.md``.

On anything but 64-bit little-endian Linux the same names log through ``logging.handlers.RotatingFileHandler``.
"""

import struct
import sys

if sys.platform == "linux" and sys.byteorder == "little" and struct.calcsize("P") == 8:
    try:
        from lastwords import _native

        _refused = not _native.is_main_interpreter()
    except ImportError as error:
        if "subinterpreter" not in str(error):
            raise
        _refused = True
    if _refused:
        raise ImportError(
            "lastwords works in the main interpreter of a process only: a process has one ring for each role, and threads of its "
            "own that belong to no interpreter. Log from the main interpreter, or give the work to a process of its own."
        )
    from lastwords._native import __version__
    from lastwords.handlers import ConsoleHandler, RingHandler
    from lastwords.logger import Logger
    from lastwords.roles import get_logger, get_logger_from_env, setup_logger
else:
    from lastwords.fallback import (  # type: ignore[assignment]
        ConsoleHandler,
        Logger,
        RingHandler,
        __version__,
        get_logger,
        get_logger_from_env,
        setup_logger,
    )

__all__ = ["ConsoleHandler", "Logger", "RingHandler", "get_logger", "get_logger_from_env", "setup_logger", "__version__"]
