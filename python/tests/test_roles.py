"""The loggers of a process, and what is logged before it is known what it is."""

from __future__ import annotations

import pytest
from conftest import Logs


def test_the_logger_is_the_one_that_logging_has_with_its_handlers_and_without_propagation(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.setup_logger("worker", LOGS)
        assert log is logging.getLogger("worker") and isinstance(log, logging.Logger)
        assert [type(handler) for handler in log.handlers] == [lastwords.RingHandler, lastwords.ConsoleHandler]
        assert not log.propagate and log.level == logging.INFO
        assert lastwords.get_logger("worker") is log
        log.info("frame %d took %.1f ms", 7, 16.66)
        log.debug("not this")
        """
    )
    assert logs.lines() == [("INFO", "frame 7 took 16.7 ms")]


def test_a_logger_that_was_taken_from_logging_before_works_afterwards(logs: Logs) -> None:
    logs.run(
        """
        early, child = logging.getLogger("worker"), logging.getLogger("worker.net")
        lastwords.setup_logger("worker", LOGS)
        assert type(early) is type(child) is lastwords.Logger
        early.info("from before")
        child.info("from below")
        """
    )
    assert logs.messages() == ["from before", "from below"]


def test_calling_again_configures_anew_and_leaves_others_handlers(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.setup_logger("worker", LOGS + "/first")
        other = logging.NullHandler()
        log.addHandler(other)
        log.info("one")
        again = lastwords.setup_logger("worker", LOGS, logging.DEBUG, console=False)
        assert again is log and log.level == logging.DEBUG
        assert [type(handler).__name__ for handler in log.handlers] == ["NullHandler", "RingHandler"]
        log.debug("two")
        lastwords.setup_logger("worker", LOGS)
        assert log.level == logging.INFO
        """
    )
    assert logs.messages() == ["two"]
    assert Logs(logs.folder / "first").messages() == ["one"]


def test_dev_mode_is_the_console_alone(logs: Logs) -> None:
    said = logs.run(
        """
        log = lastwords.setup_logger("worker", LOGS, dev_mode=True, log_level="DEBUG")
        assert [type(handler) for handler in log.handlers] == [lastwords.ConsoleHandler]
        log.debug("seen")
        """
    )
    assert "[DEBUG] seen" in said
    assert not logs.folder.exists()


def test_the_environment_names_the_role_the_folder_and_the_level(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.get_logger_from_env()
        assert log.name == "host" and log.level == logging.DEBUG
        assert logging.getLogger("host.net").level == logging.ERROR
        log.debug("as the environment says")
        """,
        LASTWORDS_ROLE="host",
        LASTWORDS_DIR=str(logs.folder),
        LASTWORDS_LOG="debug,host.net=error",
    )
    assert logs.messages("host") == ["as the environment says"]


def test_an_explicit_level_comes_before_the_environment_and_the_environment_before_the_default(logs: Logs) -> None:
    logs.run(
        """
        assert lastwords.setup_logger("worker", LOGS).level == logging.ERROR
        assert lastwords.setup_logger("worker", LOGS, logging.INFO).level == logging.INFO
        """,
        LASTWORDS_LOG="error",
    )


def test_lines_from_before_setup_are_in_the_ring_of_the_environment_at_once(logs: Logs) -> None:
    script = """
        log = lastwords.get_logger_from_env()
        log.info("before")
        os.kill(os.getpid(), 9)
        """
    logs.run(script, status=-9, LASTWORDS_ROLE="worker", LASTWORDS_DIR=str(logs.folder))
    logs.drain()
    assert "before" in logs.messages()


def test_lines_from_before_setup_are_written_where_setup_says_as_well_with_their_own_time(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.get_logger("worker")
        for n in range(3):
            log.info("before %d", n, extra={"n": n})
        lastwords.setup_logger("worker", LOGS)
        log.info("after")
        """,
        LASTWORDS_DIR=str(logs.folder / "default"),
    )
    messages = logs.messages()
    assert [message.split(" logged=")[0] for message in messages] == ["before 0 n=0", "before 1 n=1", "before 2 n=2", "after"]
    assert all("logged=20" in message for message in messages[:3])
    assert Logs(logs.folder / "default").messages() == ["before 0 n=0", "before 1 n=1", "before 2 n=2"]


def test_lines_from_before_setup_stand_once_where_setup_names_the_same_folder(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.get_logger("worker")
        log.info("before")
        lastwords.setup_logger("worker")
        log.info("after")
        """,
        LASTWORDS_DIR=str(logs.folder),
    )
    assert logs.messages() == ["before", "after"]


def test_shared_code_that_nobody_told_its_role_logs_as_what_the_process_is_set_up_as(logs: Logs) -> None:
    logs.run(
        """
        shared = lastwords.get_logger_from_env()
        shared.info("before")
        lastwords.setup_logger("host", LOGS)
        shared.info("after")
        assert lastwords.get_logger_from_env() is shared
        """,
        LASTWORDS_DIR=str(logs.folder / "default"),
    )
    messages = logs.messages("host")
    assert messages[0].startswith("before logged=") and messages[1:] == ["after"]
    assert not (logs.folder / "worker.log").exists()


def test_shared_code_that_comes_after_setup_logs_as_what_the_process_is_set_up_as(logs: Logs) -> None:
    logs.run(
        """
        lastwords.setup_logger("host", LOGS)
        lastwords.get_logger_from_env().info("shared")
        """,
        LASTWORDS_DIR=str(logs.folder / "default"),
    )
    assert logs.messages("host") == ["shared"]
    assert not (logs.folder / "default").exists()


def test_a_thousand_lines_are_kept_and_more_are_written_where_they_were_logged_first(logs: Logs) -> None:
    logs.run(
        """
        log = lastwords.get_logger("worker")
        for n in range(1500):
            log.info("line %d", n)
        lastwords.setup_logger("worker", LOGS)
        log.info("after")
        """,
        LASTWORDS_DIR=str(logs.folder / "default"),
        LASTWORDS_CONSOLE="false",
    )
    assert logs.messages() == ["after"]
    assert Logs(logs.folder / "default").messages() == [f"line {n}" for n in range(1500)]


def test_lines_are_kept_in_memory_where_no_ring_can_be_made_and_the_reason_is_said(logs: Logs) -> None:
    logs.folder.mkdir()
    (logs.folder / "file").write_text("")
    said = logs.run(
        """
        log = lastwords.get_logger("worker")
        for n in range(1200):
            log.info("line %d", n)
        lastwords.setup_logger("worker", LOGS)
        """,
        LASTWORDS_DIR=str(logs.folder / "file"),
        LASTWORDS_CONSOLE="false",
    )
    assert said.count("lastwords: cannot log as worker") == 1 and "kept in memory" in said
    assert [message.split(" logged=")[0] for message in logs.messages()] == [f"line {n}" for n in range(200, 1200)]


def test_what_cannot_be_is_refused_with_what_was_found_and_leaves_the_logger_as_it_was(logs: Logs) -> None:
    logs.run(
        """
        import pytest
        log = lastwords.setup_logger("worker", LOGS)
        before = list(log.handlers)
        with pytest.raises(ValueError, match='role.*"../x"'):
            lastwords.setup_logger("../x", LOGS)
        with pytest.raises(ValueError, match="did you mean .rotate_size"):
            lastwords.setup_logger("worker", LOGS, rotate_sise=5)
        with pytest.raises(ValueError, match="rotate_size: 1 found"):
            lastwords.setup_logger("other", LOGS, rotate_size=1)
        with pytest.raises(ValueError, match="Unknown level"):
            lastwords.setup_logger("worker", LOGS, "LOUD")
        with pytest.raises(OSError, match="not a folder|Not a directory"):
            lastwords.setup_logger("worker", __import__("lastwords").__file__)
        assert log.handlers == before
        """
    )


def test_every_setting_can_be_given_by_its_name(logs: Logs) -> None:
    logs.run(
        """
        from pathlib import Path
        settings = {"format": "both", "time_zone": "UTC", "rotate_size": 1 << 20, "ring_level": None, "console": False}
        log = lastwords.setup_logger("worker", Path(LOGS), **settings)
        log.info("both", extra={"user": "ada", "n": 3, "ratio": 0.5, "ok": True, "none": None})
        """
    )
    assert logs.messages() == ["both user=ada n=3 ratio=0.5 ok=true none=null"]
    json = (logs.folder / "worker.jsonl").read_text()
    assert '"fields":{"user":"ada","n":3,"ratio":0.5,"ok":true,"none":null}' in json


def test_a_handler_whose_emit_was_replaced_before_setup_keeps_it(logs: Logs) -> None:
    logs.run(
        """
        shared = lastwords.get_logger_from_env()
        seen = []
        shared.handlers[0].emit = seen.append
        lastwords.setup_logger("host", LOGS)
        shared.info("after")
        assert [record.getMessage() for record in seen] == ["after"]
        """,
        LASTWORDS_DIR=str(logs.folder / "default"),
    )


#: A setting, its first value, None for none, and a second one that the ring cannot take.
CHANGES = [
    ("format", None, "json"),
    ("format", "both", "text"),
    ("columns", None, "thread,place"),
    ("time_digits", None, 6),
    ("time_offset", None, True),
    ("rotate_size", None, 4096),
    ("rotate_size", 8192, 4096),
    ("rotate_keep", None, 7),
    ("rotate_every", None, "1d"),
    ("compress", None, "zstd"),
    ("keep_total", None, 20 << 20),
    ("keep_for", None, "30h"),
    ("ring_level", None, "debug"),
    ("full_policy", None, "drop_newest"),
    ("flusher", None, "never"),
    ("memory", None, "shared"),
    ("durable", 500, 1000),
    ("time_zone", "+02:00", "UTC"),
    ("lanes", None, 20),
    ("sigbus_guard", None, False),
    ("crash_files", None, 3),
    ("crash_total", None, 4096),
    ("crash_capture", None, False),
    ("crash_stack", None, 4096),
    ("crash_threads", None, True),
    ("context_on_error", None, 10),
]


@pytest.mark.parametrize(("name", "first", "second"), CHANGES)
def test_a_second_setup_that_a_ring_cannot_follow_names_both_values(logs: Logs, name: str, first: object, second: object) -> None:
    said = logs.run(f"""
        first = {{}} if {first is None} else {{{name!r}: {first!r}}}
        log = lastwords.setup_logger("worker", LOGS, console=False, **first)
        log.info("first")
        before = log.handlers[:]
        for _ in range(2):
            try: lastwords.setup_logger("worker", LOGS, console=False, {name}={second!r})
            except ValueError as error: print(error)
        # A setting that it has already is not a change, explicit or not.
        assert log.handlers == before
        lastwords.setup_logger("worker", LOGS, console=False)
        lastwords.setup_logger("worker", LOGS, console=False, **first)
        log.info("last")
        log.handlers[0].flush()
    """)
    values = [str(value).lower() for value in (first, second) if value is not None]
    for line in said.splitlines()[:2]:
        assert line.startswith(f"{name}: ") and "already" in line, said
        assert all(value in line.lower() for value in values), said
    assert logs.messages() == ["first", "last"]


def test_a_second_setup_with_the_values_that_are_the_defaults_is_none(logs: Logs) -> None:
    logs.run("""
        log = lastwords.setup_logger("worker", LOGS, console=False)
        lastwords.setup_logger("worker", LOGS, console=False, rotate_size=10 << 20, rotate_keep=5, format="text")
        log.info("text")
    """)
    assert logs.messages() == ["text"]


def test_a_second_setup_changes_level_and_console(logs: Logs) -> None:
    said = logs.run("""
        log = lastwords.setup_logger("worker", LOGS, console=False)
        log.debug("no")
        lastwords.setup_logger("worker", LOGS, "DEBUG", console=True)
        log.debug("yes")
        lastwords.setup_logger("worker", LOGS, console=False)
        log.debug("no more")
    """)
    assert logs.messages() == ["yes"]
    assert said.count("yes") == 1


@pytest.mark.parametrize("setup", ["lastwords.setup_logger('worker', LOGS)", "lastwords.get_logger('worker')"])
def test_a_logger_that_dict_config_disabled_is_enabled(logs: Logs, setup: str) -> None:
    logs.run(
        f"""
        import logging.config
        log = logging.getLogger("worker")
        logging.config.dictConfig({{"version": 1}})
        assert log.disabled
        {setup}
        log.info("text")
    """,
        LASTWORDS_DIR=str(logs.folder),
    )
    assert logs.messages() == ["text"]


# The root logger.


def test_one_call_has_every_logger_land_in_the_role(logs: Logs) -> None:
    said = logs.run(
        """
        import asyncio
        early = logging.getLogger("library.early")
        log = lastwords.setup_logger("host", LOGS, root=True)
        assert log is logging.getLogger("host") is lastwords.get_logger("host") and log.handlers == []
        made = []
        original = logging.LogRecord.__init__
        logging.LogRecord.__init__ = lambda self, *a, **n: made.append(1) or original(self, *a, **n)
        log.info("by its name")
        early.info("made before")
        logging.getLogger("library.late").info("made after")
        logging.getLogger(__name__).info("the module's own")
        logging.info("by logging itself")
        log.debug("no")
        print("records made:", len(made))
        logging.root.setLevel("DEBUG")
        log.debug("yes")
        logging.root.handlers[0].flush()
    """
    )
    expected = ["by its name", "made before", "made after", "the module's own", "by logging itself", "yes"]
    assert logs.messages("host") == expected
    assert "records made: 0" in said
    assert [line.split("] ")[-1] for line in said.splitlines() if line.startswith("[")] == expected


def test_the_tool_changes_the_level_of_the_root_logger(logs: Logs) -> None:
    logs.run(
        """
        import subprocess
        lastwords.setup_logger("host", LOGS, root=True, console=False)
        log = logging.getLogger("library")
        log.info("one")
        done = subprocess.run([sys.executable, "-m", "lastwords", "level", "--dir", LOGS, "host", "debug"])
        assert done.returncode == 0
        log.info("two")
        log.debug("three")
    """
    )
    [one, change, two, three] = logs.messages("host")
    assert (one, two, three) == ("one", "two", "three")
    assert change.endswith("(lastwords level): log info -> debug")


def test_another_setup_moves_the_handlers_and_no_line_comes_twice(logs: Logs) -> None:
    logs.run("""
        other = logging.NullHandler()
        logging.root.addHandler(other)
        log = lastwords.setup_logger("host", LOGS, console=False)
        log.info("of its own")
        lastwords.setup_logger("host", LOGS, console=False, root=True)
        log.info("of the root")
        lastwords.setup_logger("host", LOGS, console=False, root=True)
        log.info("again")
        lastwords.setup_logger("host", LOGS, console=False)
        log.info("of its own again")
        logging.getLogger("library").info("not any more")
        assert logging.root.handlers == [other]
    """)
    assert logs.messages("host") == ["of its own", "of the root", "again", "of its own again"]


def test_a_child_that_is_made_later_takes_the_short_way(logs: Logs) -> None:
    said = logs.run("""
        log = lastwords.setup_logger("worker", LOGS, console=False)
        class Own(logging.Logger): pass
        print(type(logging.getLogger("worker.net")) is lastwords.Logger)
        logging.setLoggerClass(Own)
        lastwords.setup_logger("worker", LOGS, console=False)
        print(type(logging.getLogger("worker.other")) is Own)
        logging.getLogger("worker.net").info("text")
    """)
    assert said.split() == ["True", "True"]
    assert logs.messages() == ["text"]


@pytest.mark.parametrize(
    ("form", "names"), [("text", ["worker.log"]), ("json", ["worker.jsonl"]), ("both", ["worker.jsonl", "worker.log"])]
)
def test_the_log_files_are_there_after_setup(logs: Logs, form: str, names: list[str]) -> None:
    said = logs.run(f"""
        lastwords.setup_logger("worker", LOGS, console=False, format={form!r}, flusher="never")
        print(*sorted(name for name in os.listdir(LOGS) if name.startswith("worker")))
        lastwords.setup_logger("worker", LOGS, console=False)
    """)
    assert said.split() == names
    assert all(
        (logs.folder / name).stat().st_size == 0 and (logs.folder / name).stat().st_mode & 0o777 == 0o600 for name in names
    )


def test_a_log_file_that_is_there_stays_as_it_is(logs: Logs) -> None:
    for _ in range(2):
        logs.run("lastwords.setup_logger('worker', LOGS, console=False).info('text')")
    assert logs.messages() == ["text", "text"]
