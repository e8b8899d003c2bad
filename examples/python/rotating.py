"""The five lines that change where a program used ``logging.handlers.RotatingFileHandler``. What it logs with stays."""

import logging
import os
import tempfile
from pathlib import Path

import lastwords  # 1: before, from logging.handlers import RotatingFileHandler

FOLDER = Path(os.environ.get("LASTWORDS_DIR") or Path(tempfile.gettempdir(), "lastwords-examples"))

handler = lastwords.RingHandler(  # 2: before, handler = RotatingFileHandler(
    role="shop",
    log_dir=FOLDER,  # 3: before, filename=FOLDER / "shop.log",
    rotate_size=65536,
    rotate_keep=3,  # 4: before, maxBytes=65536, backupCount=3,
)  # 5: before, ) and handler.setFormatter(...): time, pid and level are there without one
logging.root.addHandler(handler)
logging.root.setLevel(logging.INFO)

log = logging.getLogger("shop.orders")


def main() -> None:
    """Logs enough to have the file rotated, and an exception."""
    for order in range(2500):
        log.info("order %d is on its way", order)
    try:
        {}["customer"]
    except KeyError:
        log.exception("order %d has no customer", 2500)
    handler.flush()
    for path in sorted(FOLDER.glob("shop.log*")):
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
