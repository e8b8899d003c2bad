"""What an import of the package needs and loads, and names that are no text."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import lastwords
import pytest
from conftest import Logs


def test_the_package_is_imported_from_a_folder_without_its_metadata(tmp_path: Path) -> None:
    shutil.copytree(Path(lastwords.__file__).parent, tmp_path / "lastwords")
    script = "import lastwords; print(lastwords.__file__, lastwords.__version__)"
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / "lastwords" / "__init__.py"), version("lastwords")], done.stderr


def test_an_import_loads_nothing_that_takes_long(logs: Logs) -> None:
    said = logs.run_alone("""
import logging, sys
before = set(sys.modules)
import lastwords
print(sorted(set(sys.modules) - before))
""")
    for module in (
        "importlib.metadata",
        "datetime",
        "pathlib",
        "json",
        "email",
        "zipfile",
        "inspect",
        "asyncio",
        "logging.handlers",
    ):
        assert f"'{module}'" not in said, said


@pytest.mark.parametrize("kind", ["str", "bytes", "path"])
def test_a_log_folder_need_not_be_text(logs: Logs, kind: str) -> None:
    folder = os.fsencode(logs.folder) + b"-\xff"
    given = {"str": f"os.fsdecode({folder!r})", "bytes": repr(folder), "path": f"pathlib.Path(os.fsdecode({folder!r}))"}[kind]
    logs.run(f"""
        import pathlib
        log = lastwords.setup_logger("worker", {given}, console=False, rings={given})
        log.info("text")
        assert os.fsencode(log.handlers[0].folder) == {folder!r}
        # The same folder again is the same ring.
        lastwords.setup_logger("worker", {given}, console=False)
        log.info("again")
    """)
    text = Path(os.fsdecode(folder), "worker.log").read_text()
    assert [line.split("] ")[-1] for line in text.splitlines()] == ["text", "again"]


def test_a_script_need_not_have_a_name_that_is_text(logs: Logs) -> None:
    script = os.fsencode(logs.folder.parent) + b"/a\xffb.py"
    Path(os.fsdecode(script)).write_text(
        "import lastwords, os\n"
        "log = lastwords.setup_logger('worker', os.environ.get('LOGS'), console=False, format='both')\n"
        "log.info('text')\nprint(ascii(str(log.handlers[0].folder)))\n"
    )
    for folder in ({"LOGS": str(logs.folder)}, {"TMPDIR": str(logs.folder.parent)}):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LASTWORDS_")}
        done = subprocess.run(
            [sys.executable, script], env={**kept, **folder}, capture_output=True, text=True, cwd=logs.folder.parent
        )
        assert done.returncode == 0, done.stderr
    assert logs.messages() == ["text"]
    assert '"file":' in (logs.folder / "worker.jsonl").read_text()
