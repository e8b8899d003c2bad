"""A Django application in one file, whose ``LOGGING`` has everything in the ring, tracebacks of failed requests too.

It needs ``pip install django``.
"""

import logging
import os
import tempfile
from pathlib import Path

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

FOLDER = Path(os.environ.get("LASTWORDS_DIR") or Path(tempfile.gettempdir(), "lastwords-examples"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "ring": {"class": "lastwords.RingHandler", "role": "web", "log_dir": FOLDER},
        "console": {"class": "lastwords.ConsoleHandler", "level": "ERROR"},
    },
    "root": {"handlers": ["ring", "console"], "level": "INFO"},
}

settings.configure(ALLOWED_HOSTS=["testserver"], LOGGING=LOGGING, ROOT_URLCONF=__name__, SECRET_KEY="example")
django.setup()
log = logging.getLogger("shop.views")


def index(request: HttpRequest) -> HttpResponse:
    """A page that works."""
    log.info("%s is asked for", request.path)
    return HttpResponse("hello")


def broken(request: HttpRequest) -> HttpResponse:
    """A page that does not."""
    raise LookupError("no such order")


urlpatterns = [path("", index), path("broken", broken)]


def main() -> None:
    """Asks for both pages, as a browser would."""
    client = Client(raise_request_exception=False)
    for page in ("/", "/broken"):
        print(page, client.get(page).status_code)
    print(f"see {FOLDER}/web.log")


if __name__ == "__main__":
    main()
