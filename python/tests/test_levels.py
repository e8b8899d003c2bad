"""Levels that are set from outside, and what only the black box shows."""

from __future__ import annotations

import re

from conftest import Logs


def test_the_tool_shows_and_changes_the_level_of_a_running_process(logs: Logs) -> None:
    logs.run(
        """
        import subprocess
        log = lastwords.setup_logger("worker", LOGS, console=False)
        child = logging.getLogger("worker.net")
        def tool(*arguments):
            command = [sys.executable, "-m", "lastwords", *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "info  off " in tool("status", LOGS), tool("status", LOGS)
        log.setLevel(logging.WARNING)
        assert "warning  off " in tool("status", LOGS)
        log.info("not this")
        tool("level", "--dir", LOGS, "worker", "debug,worker.net=error")
        log.warning("the first record after the change takes it over")
        assert log.level == logging.DEBUG and child.level == logging.ERROR
        log.debug("this")
        child.warning("not this")
        """
    )
    [change, *messages] = logs.messages()
    assert change.endswith("(lastwords level): log warning -> debug,worker.net=error")
    assert messages == ["the first record after the change takes it over", "this"]


def test_what_no_file_shows_is_in_the_crash_file(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.setup_logger("worker", LOGS, console=False, ring_level="debug")
        log.info("shown")
        log.debug("frame %d in detail", 7)
        log.log(12, "of a custom level")
        log.log(5, "too fine")
        logging.disable(logging.DEBUG)
        log.debug("disabled altogether")
        os.kill(os.getpid(), 9)
        """,
        status=-9,
    )
    logs.drain()
    assert [text for level, text in logs.lines() if level != "CRITICAL" and "lastwords:" not in text] == ["shown"]
    [text] = logs.crash_files()
    assert re.search(r"\[DEBUG\] \[MainThread \d+\] frame 7 in detail", text)
    assert re.search(r"\[Level 12\] \[MainThread \d+\] of a custom level", text)
    assert "] too fine" not in text and "] disabled altogether" not in text


def test_a_level_that_is_disabled_costs_no_argument_its_text(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.setup_logger("worker", LOGS, console=False)
        class Dear:
            def __str__(self): raise AssertionError("nobody wants this text")
        log.debug("%s", Dear())
        """
    )
    assert logs.lines() == []


def test_what_no_file_shows_needs_no_setup_and_may_be_anything(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.get_logger_from_env()
        log.debug("the first of all")
        log.debug("with %s", "extra", extra={"a": 1})
        log.debug("with a traceback", exc_info=True)
        log.debug({"not": "text"})
        log.debug("a module: %s", os.path)
        log.debug("wrong: %d", "text")
        os.kill(os.getpid(), 9)
        """,
        status=-9,
        LASTWORDS_DIR=str(logs.folder),
        LASTWORDS_ROLE="worker",
        LASTWORDS_RING_LEVEL="debug",
        LASTWORDS_CONSOLE="false",
    )
    logs.drain()
    [text] = logs.crash_files()
    for said in ("the first of all", "with extra", "with a traceback", "{'not': 'text'}", "a module: <module", "wrong: %d"):
        assert re.search(rf"\[DEBUG\] \[MainThread \d+\] {re.escape(said)}", text), said


def test_a_kept_level_is_above_what_a_program_says_for_processes_that_start_later(logs: Logs) -> None:
    logs.folder.mkdir()
    logs.tool("level", "--dir", str(logs.folder), "worker", "debug,worker.net=error", "--keep")
    logs.run(
        """
        import subprocess
        log = lastwords.setup_logger("worker", LOGS, logging.CRITICAL, console=False)
        assert log.level == logging.DEBUG and logging.getLogger("worker.net").level == logging.ERROR
        log.debug("kept")
        logging.getLogger("worker.net").warning("not this")
        if os.fork() == 0:
            log.debug("kept in a child")
            assert log.level == logging.DEBUG
            os._exit(0)
        os.wait()
        subprocess.run([sys.executable, "-m", "lastwords", "level", "--dir", LOGS, "worker", "--reset"], check=True)
        log.critical("the first record after the reset takes it over")
        assert log.level == logging.CRITICAL
        """
    )
    logs.run(
        """
        log = lastwords.setup_logger("worker", LOGS, logging.ERROR, console=False)
        log.warning("not kept any more")
        log.error("as it says")
        """
    )
    logs.tool("level", "--dir", str(logs.folder), "worker", "debug", "--keep")
    logs.run('log = lastwords.get_logger("worker")\nlog.debug("an early one")', LASTWORDS_DIR=str(logs.folder))
    ours = [text for text in logs.messages() if text.startswith("lastwords:")]
    assert [text for text in logs.messages() if text not in ours] == [
        "kept",
        "kept in a child",
        "the first record after the reset takes it over",
        "as it says",
        "an early one",
    ]
    assert sum("(lastwords level worker --keep): log" in text for text in ours) == 3
