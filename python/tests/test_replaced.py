"""Code that is put in the way of records, such as an error tracker, sees all of them, whenever that happens."""

from __future__ import annotations

import pytest
from conftest import Logs

#: What is replaced, by how it is done; ``seen`` gets each message.
REPLACEMENTS = {
    "callHandlers": """
original = logging.Logger.callHandlers
def callHandlers(self, record): seen.append(record.getMessage()); return original(self, record)
logging.Logger.callHandlers = callHandlers
""",
    "handle": """
original = logging.Logger.handle
def handle(self, record): seen.append(record.getMessage()); return original(self, record)
logging.Logger.handle = handle
""",
    "makeRecord": """
original = logging.Logger.makeRecord
def makeRecord(self, *arguments, **named):
    record = original(self, *arguments, **named); seen.append(record.getMessage()); return record
logging.Logger.makeRecord = makeRecord
""",
    "makeRecord by an object that is no function": """
original = logging.Logger.makeRecord
class Wrapper:
    def __get__(self, logger, owner): return lambda *arguments, **named: self(logger, *arguments, **named)
    def __call__(self, logger, *arguments, **named):
        record = original(logger, *arguments, **named); seen.append(record.getMessage()); return record
logging.Logger.makeRecord = Wrapper()
""",
    "a wrapper that says it is the original": """
import functools
original = logging.Logger.callHandlers
@functools.wraps(original)
def callHandlers(self, record): seen.append(record.getMessage()); return original(self, record)
logging.Logger.callHandlers = callHandlers
""",
    "_log": """
original = logging.Logger._log
def _log(self, level, msg, args, **named):
    seen.append(msg % args if args else msg); return original(self, level, msg, args, **named)
logging.Logger._log = _log
""",
    "getMessage": """
original = logging.LogRecord.getMessage
def getMessage(self):
    text = original(self)
    if text not in seen: seen.append(text)
    return text
logging.LogRecord.getMessage = getMessage
""",
    "the factory": """
original = logging.getLogRecordFactory()
def factory(*arguments, **named):
    record = original(*arguments, **named); seen.append(record.getMessage()); return record
logging.setLogRecordFactory(factory)
""",
    "the class of records": """
class Own(logging.LogRecord):
    def __init__(self, *arguments, **named): super().__init__(*arguments, **named); seen.append(self.getMessage())
logging.LogRecord = Own
logging.setLogRecordFactory(Own)
""",
}
#: When: the number of what is said before.
TIMES = {
    "before the package is imported": "{replace}\nimport lastwords\nlog = lastwords.setup_logger('worker', LOGS)\n",
    "before the logger is set up": "import lastwords\n{replace}\nlog = lastwords.setup_logger('worker', LOGS)\n",
    "before the first record": "import lastwords\nlog = lastwords.setup_logger('worker', LOGS)\n{replace}\n",
    "after the first record": "import lastwords\nlog = lastwords.setup_logger('worker', LOGS)\nlog.info('early')\n{replace}\n",
}


@pytest.mark.parametrize("when", TIMES)
@pytest.mark.parametrize("what", REPLACEMENTS)
def test_what_is_replaced_in_logging_sees_every_record_whenever_that_was_done(logs: Logs, what: str, when: str) -> None:
    head = "import logging, os\nLOGS = os.environ['LOGS']\nseen = []\n"
    calls = "seen.clear()\nlog.info('text')\nlog.info('%d of %s', 7, 'b')\nlog.error('c')\nprint(seen)"
    script = head + TIMES[when].format(replace=REPLACEMENTS[what]) + calls
    assert "['text', '7 of b', 'c']" in logs.run_alone(script)
    assert [line for line in logs.messages() if line != "early"] == ["text", "7 of b", "c"]


def test_a_method_that_was_replaced_for_a_while_is_quick_again(logs: Logs) -> None:
    said = logs.run("""
        import unittest.mock
        log = lastwords.setup_logger("worker", LOGS, console=False)
        made = []
        original = logging.LogRecord.__init__
        with unittest.mock.patch.object(logging.Logger, "callHandlers", lambda self, record: made.append(record)):
            log.info("a mock has it")
        log.info("the file has it")
        print(len(made))
    """)
    assert said.splitlines()[-1] == "1"
    assert logs.messages() == ["the file has it"]


MOVED = {
    "a method": "handle = logging.Logger.handle; del logging.Logger.handle; logging.Logger.handle = handle",
    "a method after others were deleted": "logging.Logger.first = 1; del logging.Logger.first; logging.Logger.fatal = None",
    "the factory": "factory = logging._logRecordFactory; del logging._logRecordFactory; logging._logRecordFactory = factory",
    "a level's name": "del logging._levelToName[20]; logging._levelToName[20] = 'INFO'",
    "the handlers": "handlers = log.handlers; del log.handlers; log.handlers = handlers",
    "every attribute": "own = dict(reversed(list(log.__dict__.items()))); log.__dict__.clear(); log.__dict__.update(own)",
    "the whole dictionary": "log.__dict__ = {'first': 1, **log.__dict__}",
    "a name that is another object": "del log.handlers; log.__dict__[''.join(['hand', 'lers'])] = handlers",
}


@pytest.mark.parametrize("what", MOVED)
def test_what_was_deleted_and_set_again_is_found_at_its_new_place(logs: Logs, what: str) -> None:
    said = logs.run(f"""
        log = lastwords.setup_logger("worker", LOGS, console=False)
        log.info("before")
        handlers = log.handlers
        {MOVED[what]}
        log.info("after %d", 1)
        log.debug("not this")
        original, seen = logging.Logger.handle, []
        logging.Logger.handle = lambda self, record: (seen.append(record.getMessage()), original(self, record))
        log.info("seen")
        logging.Logger.handle = original
        log.handlers = []
        log.info("nobody has it")
        log.handlers, log.disabled = handlers, True
        log.info("nor this")
        log.disabled = False
        log.info("last")
        print(seen)
    """)
    assert said.splitlines()[-1] == "['seen']"
    assert logs.messages() == ["before", "after 1", "seen", "last"]
