"""Where rings cannot be, the same names log through ``RotatingFileHandler``."""

from __future__ import annotations

from conftest import Logs


def test_the_same_names_work_on_another_system(logs: Logs) -> None:
    said = logs.run(
        """
        for name in [name for name in sys.modules if name.startswith("lastwords")]:
            del sys.modules[name]
        sys.modules["lastwords._native"] = None
        sys.platform = "darwin"
        import lastwords, logging.handlers
        log = lastwords.setup_logger("worker", LOGS, logging.DEBUG, rotate_size=4096, rotate_keep=2)
        assert log is logging.getLogger("worker") is lastwords.get_logger("worker") and not log.propagate
        assert [type(handler) for handler in log.handlers] == [lastwords.RingHandler, lastwords.ConsoleHandler]
        assert isinstance(log.handlers[0], logging.handlers.RotatingFileHandler)
        log.debug("frame %d \\udc80", 7)
        assert len(lastwords.setup_logger("worker", LOGS, dev_mode=True).handlers) == 1
        os.environ["LASTWORDS_ROLE"], os.environ["LASTWORDS_DIR"] = "host", LOGS
        assert lastwords.get_logger_from_env() is logging.getLogger("host")
        import lastwords.__main__
        try:
            lastwords.__main__.main()
        except SystemExit as end:
            assert end.code == 2
        """
    )
    assert logs.lines() == [("DEBUG", "frame 7 \\udc80")]
    assert "[DEBUG] frame 7" in said and "64-bit Linux only" in said


def test_both_have_the_same_public_names_and_parameters(logs: Logs) -> None:
    logs.run(
        """
        import inspect
        from lastwords import fallback
        for name in lastwords.__all__:
            assert hasattr(fallback, name), name
        for name in ("get_logger", "get_logger_from_env", "setup_logger"):
            ours, theirs = (list(inspect.signature(getattr(module, name)).parameters) for module in (lastwords, fallback))
            assert ours == theirs, name
        flush = [list(inspect.signature(module.RingHandler.flush).parameters) for module in (lastwords, fallback)]
        assert flush[0] == flush[1]
        """
    )
