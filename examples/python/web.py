"""A web server on asyncio, without a framework, all of whose records are JSON lines: its own, uvicorn's and asyncio's.

It needs ``pip install uvicorn``. Ctrl-C ends it.

python web.py --port 8000
curl http://127.0.0.1:8000/hello
"""

import argparse
import asyncio
import logging
import os
import tempfile
import uuid
from pathlib import Path

import uvicorn

FOLDER = Path(os.environ.get("LASTWORDS_DIR") or Path(tempfile.gettempdir(), "lastwords-examples"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "ring": {"class": "lastwords.RingHandler", "role": "web", "log_dir": FOLDER, "format": "json"},
        "console": {"class": "lastwords.ConsoleHandler"},
    },
    "root": {"handlers": ["ring", "console"], "level": "INFO"},
}

log = logging.getLogger("app")
#: The event loop itself keeps no task alive.
tasks: set[asyncio.Task[None]] = set()


async def send_mail() -> None:
    """A background task that is not awaited. What it raises is recorded at CRITICAL."""
    raise ConnectionError("no mail server")


async def app(scope, receive, send) -> None:
    """Answers every path; /mail starts a background task, and /broken fails."""
    if scope["type"] != "http":
        return
    request = {"request_id": uuid.uuid4().hex[:8], "path": scope["path"]}
    log.info("request", extra=request)
    if scope["path"] == "/mail":
        task = asyncio.create_task(send_mail())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if scope["path"] == "/broken":
        raise LookupError("no such order")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": request["request_id"].encode()})
    log.info("answered", extra=request | {"status": 200})


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000, help="port on the loopback interface; 0 for a free one")
    print(f"see {FOLDER}/web.jsonl")
    uvicorn.run(app, port=parser.parse_args().port, lifespan="off", log_config=LOGGING)


if __name__ == "__main__":
    main()
