"""Handlers that ``logging.config.dictConfig`` makes: of the root logger, and of loggers by name."""

import logging.config
import os
import tempfile
from pathlib import Path

FOLDER = Path(os.environ.get("LASTWORDS_DIR") or Path(tempfile.gettempdir(), "lastwords-examples"))

CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        # Every key that dictConfig does not know is an argument of the class, so every setting can be given.
        "app": {"class": "lastwords.RingHandler", "role": "app", "log_dir": FOLDER},
        "audit": {"class": "lastwords.RingHandler", "role": "audit", "log_dir": FOLDER, "format": "json"},
        "console": {"class": "lastwords.ConsoleHandler", "level": "WARNING"},
    },
    "root": {"handlers": ["app", "console"], "level": "INFO"},
    "loggers": {
        "shop.audit": {"handlers": ["audit"], "propagate": False},
        "shop.database": {"level": "DEBUG"},
    },
}


def main() -> None:
    """Logs through four loggers."""
    logging.config.dictConfig(CONFIG)
    logging.getLogger("shop").debug("the root logger's level is INFO, so nobody sees this")
    logging.getLogger("shop").info("open")
    logging.getLogger("shop.database").debug("select 1")
    logging.getLogger("shop.audit").info("logged in", extra={"user": "ada", "attempt": 2})
    logging.warning("closing soon")
    print(f"see {FOLDER}/app.log and {FOLDER}/audit.jsonl")


if __name__ == "__main__":
    main()
